import assert from "node:assert/strict";
import test from "node:test";

import { spanned, stepped } from "./gestures.js";

const size = { rows: 20, columns: 30 };
const key = (/** @type {string} */ name, extra = {}) => ({
  key: name,
  ctrlKey: false,
  metaKey: false,
  ...extra,
});

test("a rectangle is the same whichever corner it began at", () => {
  const [a, b] = [
    { row: 5, column: 2 },
    { row: 3, column: 9 },
  ];
  assert.deepEqual(spanned(a, b), { row: 3, column: 2, rows: 3, columns: 8 });
  assert.deepEqual(spanned(a, b), spanned(b, a));
  assert.deepEqual(spanned(a, a), { ...a, rows: 1, columns: 1 });
});

test("arrows move one cell, ten with Ctrl, and stop at the edge", () => {
  const at = { row: 5, column: 28 };
  assert.deepEqual(stepped(key("ArrowDown"), at, size), { row: 6, column: 28 });
  assert.deepEqual(stepped(key("ArrowRight", { ctrlKey: true }), at, size), { row: 5, column: 29 });
  assert.deepEqual(stepped(key("ArrowUp", { metaKey: true }), at, size), { row: 0, column: 28 });
  assert.deepEqual(stepped(key("Home"), at, size), { row: 5, column: 0 });
  assert.deepEqual(stepped(key("ArrowDown"), null, size), { row: 0, column: 0 });
  assert.equal(stepped(key("a"), at, size), null);
});
