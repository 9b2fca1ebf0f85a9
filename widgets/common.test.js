import assert from "node:assert/strict";
import test from "node:test";

import {
  bytes_of,
  colour_ramp,
  duration_text,
  floats_of,
  nice_ticks,
  number_text,
  oklab_to_rgb,
  parse_colour,
  rgb_to_oklab,
} from "./common.js";

test("floats are read from a buffer that starts at an odd byte", () => {
  const buffer = new ArrayBuffer(13);
  new Float32Array(buffer, 4, 2).set([1.5, -2]);
  const odd = new Uint8Array(13);
  odd.set(new Uint8Array(buffer, 4, 8), 5);
  assert.deepEqual([...floats_of(new DataView(odd.buffer, 5, 8))], [1.5, -2]);
  assert.equal(bytes_of(null).length, 0);
});

test("numbers and durations read as people write them", () => {
  assert.deepEqual(
    [0, 0.0003, 0.12345, 12.345, 12345.6, 0.00001, NaN].map((value) => number_text(value)),
    ["0", "0.0003", "0.123", "12.3", "12,346", "1.0e-5", "NaN"],
  );
  assert.deepEqual([8, 125, 4320].map(duration_text), ["8 s", "2 min 05 s", "1 h 12 min"]);
});

test("ticks are round and inside the range", () => {
  assert.deepEqual(nice_ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  for (const tick of nice_ticks(0.013, 0.094, 4)) assert.ok(tick >= 0.013 && tick <= 0.0941);
  assert.deepEqual(nice_ticks(3, 3, 4), [3]);
});

test("OKLab and sRGB are inverses of each other", () => {
  for (const rgb of [
    [255, 255, 255],
    [17, 17, 17],
    [41, 121, 209],
    [207, 74, 92],
  ])
    assert.deepEqual(oklab_to_rgb(...rgb_to_oklab(rgb)), rgb);
});

test("the colour ramp starts at the background and its lightness only goes one way", () => {
  for (const background of [
    [255, 255, 255],
    [17, 17, 17],
  ]) {
    const words = colour_ramp(background);
    const rgb = [...words].map((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255]);
    assert.deepEqual(rgb[0], background);
    const lightness = rgb.map((one) => rgb_to_oklab(one)[0]);
    const sign = Math.sign(lightness[255] - lightness[0]);
    for (let i = 1; i < 256; i++)
      assert.ok(sign * (lightness[i] - lightness[i - 1]) > -0.004, `level ${i}`);
    assert.ok(Math.abs(lightness[255] - lightness[0]) > 0.65);
  }
});

test("colours are read in the ways a browser writes them", () => {
  assert.deepEqual(parse_colour("rgb(17, 34, 51)"), [17, 34, 51, 1]);
  assert.deepEqual(parse_colour("rgba(0, 0, 0, 0)"), [0, 0, 0, 0]);
  assert.deepEqual(parse_colour("color(srgb 1 0 0 / 0.5)"), [255, 0, 0, 0.5]);
});
