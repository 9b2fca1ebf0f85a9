import assert from "node:assert/strict";
import test from "node:test";

import { token_at, token_moved } from "./view_lines.js";

const layout = { left: 100, right: 300, width: 400, height: 200, scroll: 0 };
const size = { rows: 5, columns: 3 };

test("a token is the one at that height, on its side, scrolled or not", () => {
  assert.deepEqual(token_at(layout, size, 50, 20), { side: "row", place: 1 });
  assert.deepEqual(token_at({ ...layout, scroll: 38 }, size, 350, 0), { side: "column", place: 2 });
  assert.equal(token_at(layout, size, 350, 60), null);
  assert.equal(token_at(layout, size, 200, 20), null);
});

test("arrows go along a side and across, to a token that is there", () => {
  assert.deepEqual(token_moved("ArrowDown", { side: "row", place: 4 }, size), {
    side: "row",
    place: 4,
  });
  assert.deepEqual(token_moved("ArrowRight", { side: "row", place: 4 }, size), {
    side: "column",
    place: 2,
  });
  assert.deepEqual(token_moved("ArrowUp", { side: "column", place: 2 }, size), {
    side: "column",
    place: 1,
  });
  assert.deepEqual(token_moved("ArrowLeft", null, size), { side: "row", place: 0 });
  assert.equal(token_moved("Enter", null, size), null);
});
