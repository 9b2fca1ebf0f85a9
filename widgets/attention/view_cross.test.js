import assert from "node:assert/strict";
import test from "node:test";

import { banded, set_in_bands } from "./view_cross.js";

test("words keep their order, do not overlap and stay in the room", () => {
  const widths = Array.from({ length: 40 }, (_, i) => 20 + ((i * 37) % 60));
  const { words, bands } = set_in_bands(widths, 1, 300);
  words.forEach(({ x, width, band }, i) => {
    assert.ok(x >= 0 && x + width <= 300);
    const next = words[i + 1];
    if (next)
      assert.ok(next.band === band ? next.x >= x + width : next.band === band + 1 && next.x === 0);
  });
  assert.equal(words.at(-1)?.band, bands - 1);
});

test("a short and a long text stand in the same number of bands", () => {
  const made = banded(Array(10).fill(30), Array(60).fill(30), 300, [false, false]);
  assert.ok(made.bands > 1);
  assert.equal(made.below.at(-1)?.band, made.bands - 1);
  assert.equal(made.above.at(-1)?.band, made.bands - 1);
});

test("a text written from the right begins at the right edge", () => {
  const { above, below } = banded([50, 30], [20, 20, 20], 300, [true, false]);
  assert.equal(
    above[0].x + above[0].width,
    Math.max(...above.map(({ x, width }) => x + width), ...below.map(({ x, width }) => x + width)),
  );
  assert.ok(above[1].x < above[0].x && below[1].x > below[0].x);
});
