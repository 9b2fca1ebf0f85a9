import assert from "node:assert/strict";
import test from "node:test";

import { pitch_of, share_of } from "./heads.js";

const about = { title: "", formula: "", source: "", unit: "", low: null, high: null };

test("thumbnails fit the width, from 18 pixels on", () => {
  for (const [across, down] of [
    [3, 2],
    [12, 6],
    [12, 12],
    [16, 24],
  ]) {
    assert.ok(pitch_of(1000, across, down, true) * across <= 1000);
    assert.ok(pitch_of(404, across, down, false) * across <= 404);
  }
  assert.equal(pitch_of(300, 64, 48, false), 18);
});

test("a share is that of the measure's own range, otherwise of the values'", () => {
  assert.equal(share_of(0.25, [0.25, 0.9], { ...about, low: 0, high: 1 }), 0.25);
  assert.equal(share_of(3, [2, 3, NaN, 6], about), 0.25);
  assert.equal(share_of(NaN, [2, 3], about), 0);
  assert.equal(share_of(2, [2, 2], about), 0);
  assert.equal(share_of(7, [1], { ...about, low: 0, high: 5 }), 1);
});
