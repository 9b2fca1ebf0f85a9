import assert from "node:assert/strict";
import test from "node:test";

import { HEAD_COLOURS, difference_table, diverging_level, diverging_ramp } from "./colours.js";
import { rgb_to_oklab } from "../shared/oklab.js";

const rgb = (/** @type {number} */ word) =>
  /** @type {[number, number, number]} */ ([word & 255, (word >> 8) & 255, (word >> 16) & 255]);

for (const background of /** @type {[number, number, number][]} */ ([
  [255, 255, 255],
  [17, 17, 17],
])) {
  test(`no difference is the background, and size is told by lightness, on ${background}`, () => {
    const ramp = diverging_ramp(background);
    assert.deepEqual(rgb(ramp[255]), background);
    const away = (/** @type {number} */ at) =>
      Math.abs(rgb_to_oklab(rgb(ramp[at]))[0] - rgb_to_oklab(background)[0]);
    for (let step = 24; step <= 255; step += 24) {
      assert.ok(
        away(255 + step) > away(255 + step - 24) && away(255 - step) > away(255 - step + 24),
        String(step),
      );
      assert.ok(Math.abs(away(255 + step) - away(255 - step)) < 0.02, "both arms are as strong");
    }
  });
  test(`the arms differ in blue and yellow, as colour-blind readers see, on ${background}`, () => {
    const ramp = diverging_ramp(background);
    assert.ok(rgb_to_oklab(rgb(ramp[127]))[2] > 0.05 && rgb_to_oklab(rgb(ramp[383]))[2] < -0.05);
  });
}

test("a pair of bytes has the colour of the difference of its weights", () => {
  const ramp = Uint32Array.from({ length: 511 }, (_, i) => i);
  const table = difference_table(ramp);
  assert.equal(table[255 * 256], 510);
  assert.equal(table[255], 0);
  assert.equal(table[100 * 256 + 100], 255);
  const difference = (200 / 255) ** 2 - (100 / 255) ** 2;
  assert.equal(table[200 * 256 + 100], 255 + Math.round(255 * Math.sqrt(difference)));
  assert.deepEqual(
    [diverging_level(1), diverging_level(-0.25), diverging_level(0)],
    [255, -127, 0],
  );
});

test("no two heads have one colour", () =>
  assert.equal(new Set(HEAD_COLOURS).size, HEAD_COLOURS.length));
