// Numbers: as bytes from Python, as text for people, as ticks on an axis.

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
