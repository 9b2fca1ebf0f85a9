import assert from "node:assert/strict";
import test from "node:test";

import { oklab_to_rgb, rgb_to_oklab, colour_ramp } from "./oklab.js";

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
