import assert from "node:assert/strict";
import test from "node:test";

import { cell_at, key_of, labelled, layout_of, moved, short_token, strongest, weight_of } from "./attention_map.js";

const panel = { kind: "cross", layers: 3, heads: 4, rows: ["a"], columns: ["b"], thumb_height: 1, thumb_width: 1 };

test("companded bytes stand for their square", () => {
  assert.equal(weight_of(0), 0);
  assert.equal(weight_of(255), 1);
  for (const weight of [0.001, 0.1, 0.5, 0.93]) assert.ok(Math.abs(weight_of(Math.round(255 * Math.sqrt(weight))) - weight) < 0.004);
});

test("a long token is cut by characters, not by halves of one", () => {
  assert.equal(short_token("sleeps"), "sleeps");
  assert.equal(short_token("😀".repeat(20)), `${"😀".repeat(11)}…`);
});

test("the cell under a point is the one drawn there", () => {
  const layout = layout_of(10, 20, 600, 60, 50);
  for (const [row, column] of [[0, 0], [9, 19], [4, 7]])
    assert.deepEqual(cell_at(layout, layout.left + (column + 0.5) * layout.cell, layout.top + (row + 0.5) * layout.cell), { row, column });
  assert.equal(cell_at(layout, layout.left - 1, layout.top + 1), null);
  assert.equal(cell_at(layout, layout.left + 20 * layout.cell + 1, layout.top + 1), null);
});

test("cells of a long text fit the room they are given", () => {
  for (const count of [1, 5, 64, 300, 2000]) {
    const { left, cell } = layout_of(count, count, 600, 60, 50);
    assert.ok(cell > 0 && left + cell * count <= 600, `${count} tokens`);
  }
});

test("labels never touch, and the one pointed at is always written", () => {
  for (const here of [undefined, 0, 7, 99]) {
    const kept = labelled(100, 4, here).sort((a, b) => a - b);
    if (here !== undefined) assert.ok(kept.includes(here));
    for (let i = 1; i < kept.length; i++) assert.ok((kept[i] - kept[i - 1]) * 4 >= 11, String(kept));
  }
  assert.equal(labelled(10, 20).length, 10);
});

test("the strongest come first, ties by place", () => {
  assert.deepEqual(strongest([0.1, 0.5, 0.1, 0.3], 3).map(({ column }) => column), [1, 3, 0]);
});

test("arrows move one head and stop at the edge", () => {
  const at = { kind: "cross", layer: 0, head: 3 };
  assert.deepEqual(moved("ArrowDown", at, panel), { kind: "cross", layer: 1, head: 3 });
  assert.deepEqual(moved("ArrowUp", at, panel), at);
  assert.deepEqual(moved("ArrowRight", at, panel), at);
  assert.deepEqual(moved("Home", at, panel), { kind: "cross", layer: 0, head: 0 });
  assert.equal(moved("x", at, panel), null);
});

test("a head has one key, written either way", () => assert.equal(key_of({ kind: "self", layer: 2, head: 1 }), key_of(["self", 2, 1])));
