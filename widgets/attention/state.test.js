import assert from "node:assert/strict";
import test from "node:test";

import {
  direction_of,
  head_name,
  heads_of,
  is_right_to_left,
  key_of,
  level_of,
  marked_token,
  moved,
  order_of,
  range_of,
  segment_block,
  short_token,
  strongest,
  weight_of,
} from "./state.js";

const panel = {
  kind: "self",
  layers: 2,
  heads: 3,
  rows: 0,
  columns: 0,
  thumb_height: 1,
  thumb_width: 1,
  row_segments: [0, 0, 1],
  column_segments: [0, 1, 1],
  first_step: null,
};

test("companded bytes stand for their square, and back", () => {
  for (const weight of [0, 0.001, 0.1, 0.5, 1])
    assert.ok(Math.abs(weight_of(level_of(weight)) - weight) < 0.004);
  for (let level = 0; level < 256; level++) assert.equal(level_of(weight_of(level)), level);
});

test("a long token is cut by characters, not by halves of one", () => {
  assert.equal(short_token("sleeps"), "sleeps");
  assert.equal(short_token("😀".repeat(20)), `${"😀".repeat(13)}…`);
});

test("a token knows its direction, and a text that of most of its words", () => {
  assert.deepEqual(["cat", "قطة", "חתול", "猫", "12"].map(direction_of), [
    "ltr",
    "rtl",
    "rtl",
    "ltr",
    "ltr",
  ]);
  assert.equal(is_right_to_left(["[", "قطة", "على", "cat", "."]), true);
  assert.equal(is_right_to_left(["the", "قطة", "sat"]), false);
  assert.equal(is_right_to_left(["1", "."]), false);
});

test("the enlarged head comes first and no head twice", () => {
  const selection = /** @type {any} */ ({
    source: 1,
    kind: "self",
    layer: 1,
    head: 2,
    heads: [
      [0, 0],
      [1, 2],
    ],
  });
  assert.deepEqual(heads_of(selection).map(head_name), ["L1·H2", "L0·H0"]);
  assert.equal(key_of(heads_of(selection)[1]), "1/self/0/0");
});

test("heads stand in falling order of a measure, what is not a number last", () => {
  assert.deepEqual(order_of(panel, null), { order: [0, 1, 2, 3, 4, 5], across: 3 });
  assert.deepEqual(order_of(panel, [0.1, NaN, 0.5, 0.1, 2, -1]).order, [4, 2, 0, 3, 5, 1]);
});

test("arrows move within a grid whose last row may be short", () => {
  const from = (/** @type {number} */ place) =>
    ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].map((key) =>
      moved(key, place, 10, 4),
    );
  assert.deepEqual(from(5), [4, 6, 1, 9, 4, 7]);
  assert.deepEqual(from(7), [6, 7, 3, 9, 4, 7]);
  assert.deepEqual(from(8), [8, 9, 4, 8, 8, 9]);
  assert.equal(moved("x", 5, 10, 4), null);
});

test("a text-pair filter keeps the rows of its first and the columns of its second text", () => {
  assert.deepEqual(segment_block(panel, "AB"), { row: 0, column: 1, rows: 2, columns: 2 });
  assert.deepEqual(segment_block(panel, "BA"), { row: 2, column: 0, rows: 1, columns: 1 });
  assert.equal(segment_block(panel, ""), null);
  assert.equal(segment_block({ ...panel, row_segments: null }, "AA"), null);
  assert.equal(segment_block({ ...panel, column_segments: [0, 0, 0] }, "AB"), null);
});

test("one marked row, otherwise one marked column, is looked at alone", () => {
  assert.deepEqual(marked_token({ rows: [3], columns: [5] }), { side: "row", place: 3 });
  assert.deepEqual(marked_token({ rows: [], columns: [5] }), { side: "column", place: 5 });
  assert.equal(marked_token({ rows: [1, 2], columns: [5] }), null);
});

test("the strongest come first, ties by place", () => {
  assert.deepEqual(
    strongest([0.1, 0.5, 0.1, 0.3], 3).map(({ place }) => place),
    [1, 3, 0],
  );
  assert.deepEqual(range_of(3, 2), [3, 4]);
});
