// Colours that are even in perceived lightness.

/** @typedef {import("./theme.js").Rgb} Rgb */

/**
 * OKLab (B. Ottosson, 2020) to sRGB bytes.
 * @param {number} lightness @param {number} a @param {number} b
 * @returns {Rgb}
 */
export function oklab_to_rgb(lightness, a, b) {
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const gamma = (/** @type {number} */ value) => {
    const at = Math.min(1, Math.max(0, value));
    return Math.round(255 * (at <= 0.0031308 ? 12.92 * at : 1.055 * at ** (1 / 2.4) - 0.055));
  };
  return [
    gamma(4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short),
    gamma(-1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short),
    gamma(-0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short),
  ];
}

/**
 * sRGB bytes to OKLab.
 * @param {Rgb} rgb
 * @returns {[number, number, number]} lightness, a, b
 */
export function rgb_to_oklab([red, green, blue]) {
  const linear = (/** @type {number} */ byte) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const [r, g, b] = [linear(red), linear(green), linear(blue)];
  const long = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const middle = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const short = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * long + 0.793617785 * middle - 0.0040720468 * short,
    1.9779984951 * long - 2.428592205 * middle + 0.4505937099 * short,
    0.0259040371 * long + 0.7827717662 * middle - 0.808675766 * short,
  ];
}

/**
 * 256 colours from the page's background to the strongest, even in perceived lightness, as
 * little-endian RGBA words for an ImageData. Order rests on lightness, so it is safe for
 * colour-blind readers.
 * @param {Rgb} background
 * @returns {Uint32Array}
 */
export function colour_ramp(background) {
  const start = rgb_to_oklab(background);
  const polar = (/** @type {number} */ l, /** @type {number} */ c, /** @type {number} */ degrees) =>
    /** @type {const} */ ([
      l,
      c * Math.cos((degrees * Math.PI) / 180),
      c * Math.sin((degrees * Math.PI) / 180),
    ]);
  const dark = start[0] < 0.5;
  const end = dark ? polar(0.94, 0.06, 205) : polar(0.29, 0.12, 266);
  const middle = polar((start[0] + end[0]) / 2, 0.135, 250);
  const table = new Uint32Array(256);
  for (let level = 0; level < 256; level++) {
    const at = level / 127.5;
    const [from, to, share] = at <= 1 ? [start, middle, at] : [middle, end, at - 1];
    const mixed = from.map((value, i) => value + (to[i] - value) * share);
    const [r, g, b] = oklab_to_rgb(mixed[0], mixed[1], mixed[2]);
    table[level] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  return table;
}
