// What every widget needs, and the one file that a widget may import: the Python half puts its text in the
// place of the import. So: no imports here, only functions and constants, each exported by name.

/**
 * The part of anywidget's model that we use; T lists the synced traits.
 * @template {object} T
 * @typedef {{
 *   get<K extends keyof T & string>(name: K): T[K],
 *   set<K extends keyof T & string>(name: K, value: T[K]): void,
 *   save_changes(): void,
 *   send(content: object): void,
 *   on(event: string, callback: (...args: any[]) => void): void,
 *   off(event: string, callback: (...args: any[]) => void): void,
 * }} Model
 */

/** @typedef {[number, number, number]} Rgb red, green and blue, 0…255 */
/** @typedef {{ ink: string, muted: string, line: string, accent: string, background: Rgb, dark: boolean, font: string }} Theme */

/**
 * An element with properties and children; strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * The bytes of a buffer as they arrive from Python: a DataView, or a typed array.
 * @param {DataView | Uint8Array | ArrayBuffer | null | undefined} buffer
 * @returns {Uint8Array}
 */
export function bytes_of(buffer) {
  if (!buffer) return new Uint8Array(0);
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/**
 * Little-endian float32 values; copied, because a buffer need not start at a multiple of four.
 * @param {DataView | Uint8Array | ArrayBuffer | null | undefined} buffer
 * @returns {Float32Array}
 */
export function floats_of(buffer) {
  const bytes = bytes_of(buffer).slice();
  return new Float32Array(bytes.buffer, 0, bytes.byteLength >> 2);
}

/**
 * A number for people: three or `digits` significant places, thousands with commas.
 * @param {number} value
 * @param {number} [digits]
 */
export function number_text(value, digits = 3) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000)
    return size >= 1e6
      ? value.toExponential(digits - 2)
      : Math.round(value).toLocaleString("en-US");
  if (size && size < 1e-4) return value.toExponential(digits - 2);
  return String(Number(value.toPrecision(digits)));
}

/**
 * Seconds as people say them: "8 s", "2 min 05 s", "1 h 12 min".
 * @param {number} seconds
 */
export function duration_text(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/**
 * Round values, 1, 2 or 5 times a power of ten, between `low` and `high`.
 * @param {number} low @param {number} high @param {number} about how many
 * @returns {number[]}
 */
export function nice_ticks(low, high, about) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10) * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9) + 0; /* never -0 */ i * step <= high + step * 1e-9; i++)
    ticks.push(i * step);
  return ticks;
}

/**
 * A canvas fitted to its CSS size and the screen's density, cleared, in CSS pixels.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height
 * @returns {CanvasRenderingContext2D}
 */
export function fitted(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * Calls `draw` once in the next frame, however often it is asked for.
 * @param {() => void} draw
 * @returns {() => void}
 */
export function once_a_frame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** @param {string} colour as getComputedStyle gives it @returns {[number, number, number, number]} */
export function parse_colour(colour) {
  const parts = (colour.match(/[\d.]+/g) ?? []).map(Number);
  const scale = colour.startsWith("color(") ? 255 : 1;
  const [r = 0, g = 0, b = 0, alpha = 1] = parts;
  return [r * scale, g * scale, b * scale, alpha];
}

/**
 * The host's colours as they are now at `root`, which must be in the page.
 * @param {HTMLElement} root
 * @returns {Theme}
 */
export function theme_at(root) {
  const style = getComputedStyle(root);
  const text = parse_colour(style.color);
  /** @type {Rgb | null} */
  let background = null;
  for (
    let at = /** @type {HTMLElement | null} */ (root);
    at && !background;
    at = at.parentElement
  ) {
    const [r, g, b, alpha] = parse_colour(getComputedStyle(at).backgroundColor);
    if (alpha > 0.5) background = [r, g, b];
  }
  const bright_text = (text[0] + text[1] + text[2]) / 3 > 140;
  background ??= bright_text ? [17, 17, 17] : [255, 255, 255];
  const read = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
    style.getPropertyValue(name).trim() || otherwise;
  return {
    ink: style.color,
    muted: read("--llm-muted", "#767c85"),
    line: read("--llm-line", "rgba(128,128,128,.28)"),
    accent: read("--llm-accent", "#2979d1"),
    background,
    dark: (background[0] + background[1] + background[2]) / 3 < 128,
    font: style.fontFamily || "system-ui, sans-serif",
  };
}

/**
 * Calls `changed` when the host switches its theme or `root` changes its width; returns what ends that.
 * @param {HTMLElement} root @param {() => void} changed
 * @returns {() => void}
 */
export function on_theme_or_size(root, changed) {
  const theme = new MutationObserver(changed);
  const watched = {
    attributes: true,
    attributeFilter: [
      "class",
      "data-jp-theme-name",
      "data-jp-theme-light",
      "data-vscode-theme-kind",
    ],
  };
  theme.observe(document.body, watched);
  theme.observe(document.documentElement, watched);
  const size = new ResizeObserver(changed);
  size.observe(root);
  return () => {
    theme.disconnect();
    size.disconnect();
  };
}

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
 * 256 colours from the page's background to the strongest, even in perceived lightness, as little-endian RGBA words
 * for an ImageData. Order rests on lightness, so it is safe for colour-blind readers.
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
