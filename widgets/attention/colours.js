import { element } from "../shared/elements.js";
import { colour_ramp, oklab_to_rgb, rgb_to_oklab } from "../shared/oklab.js";

// Bytes to pixels: one weight to one colour, two weights to the colour of their difference, a head
// to its own colour.

/** @typedef {import("../shared/theme.js").Rgb} Rgb */

/**
 * Colours that stay apart for colour-blind readers (Okabe & Ito, 2008), without those that vanish
 * on white or black.
 */
export const HEAD_COLOURS = [
  "#0083c9",
  "#e08a00",
  "#00a079",
  "#d65d2a",
  "#c26fa8",
  "#46b0e6",
  "#8b8f97",
];

const word = (/** @type {Rgb} */ [r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/**
 * 511 colours for -255…255: orange below, the page's background at zero, blue above, even in
 * perceived lightness.
 * @param {Rgb} background
 * @returns {Uint32Array}
 */
export function diverging_ramp(background) {
  const zero = rgb_to_oklab(background);
  const is_dark = zero[0] < 0.5;
  const far_end = is_dark ? 0.86 : 0.42;
  const polar = (
    /** @type {number} */ lightness,
    /** @type {number} */ chroma,
    /** @type {number} */ degrees,
  ) => [
    lightness,
    chroma * Math.cos((degrees * Math.PI) / 180),
    chroma * Math.sin((degrees * Math.PI) / 180),
  ];
  const arm = (/** @type {number} */ degrees) => [
    zero,
    polar((zero[0] + far_end) / 2, 0.13, degrees),
    polar(far_end, 0.12, degrees),
  ];
  const [below, above] = [arm(58), arm(255)];
  const table = new Uint32Array(511);
  for (let at = -255; at <= 255; at++) {
    const [arm_of, place] = [at < 0 ? below : above, Math.abs(at) / 127.5];
    const [from, to, share] =
      place <= 1 ? [arm_of[0], arm_of[1], place] : [arm_of[1], arm_of[2], place - 1];
    const [l, a, b] = from.map((value, i) => value + (to[i] - value) * share);
    table[at + 255] = word(oklab_to_rgb(l, a, b));
  }
  return table;
}

/**
 * The place of a difference of weights, -1…1, on the diverging ramp: its square root, with its
 * sign.
 * @param {number} difference
 */
export const diverging_level = (difference) =>
  Math.round(255 * Math.sign(difference) * Math.sqrt(Math.min(1, Math.abs(difference))));

/**
 * Colours of all 256 × 256 pairs of companded bytes, first · 256 + second.
 * @param {Uint32Array} ramp
 */
export function difference_table(ramp) {
  const table = new Uint32Array(65536);
  for (let first = 0; first < 256; first++)
    for (let second = 0; second < 256; second++)
      table[first * 256 + second] =
        ramp[diverging_level((first / 255) ** 2 - (second / 255) ** 2) + 255];
  return table;
}

/**
 * @typedef {{
 *   weights: Uint32Array, diverging: Uint32Array, differences: () => Uint32Array,
 * }} Tables
 */

/**
 * The tables for one background, made again only when it changes.
 * @returns {(background: Rgb) => Tables}
 */
export function colour_tables() {
  let made_for = "";
  /** @type {Tables | undefined} */
  let tables;
  return (background) => {
    if (tables && made_for === String(background)) return tables;
    made_for = String(background);
    const diverging = diverging_ramp(background);
    /** @type {Uint32Array | undefined} */
    let differences;
    tables = {
      weights: colour_ramp(background),
      diverging,
      differences: () => (differences ??= difference_table(diverging)),
    };
    return tables;
  };
}

/**
 * A canvas of width × height pixels, which `paint` sets.
 * @param {number} width @param {number} height @param {(pixels: Uint32Array) => void} paint
 */
function painted(width, height, paint) {
  const canvas = element("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  paint(new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * Weights as a picture, one pixel a byte.
 * @param {Uint8Array} levels
 * @param {number} width
 * @param {number} height
 * @param {Uint32Array} table
 */
export const weights_picture = (levels, width, height, table) =>
  painted(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[levels[i] ?? 0];
  });

/**
 * First minus second as a picture, one pixel a byte of each.
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 * @param {number} width
 * @param {number} height
 * @param {Uint32Array} table
 */
export const difference_picture = (first, second, width, height, table) =>
  painted(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[first[i] * 256 + second[i]];
  });
