import assert from "node:assert/strict";
import test from "node:test";

import { compared_with } from "./view_diff.js";

const selection = /** @type {any} */ ({
  source: 0,
  kind: "self",
  layer: 1,
  head: 2,
  against: null,
});
const panel = { layers: 2, heads: 3 };

test("a head is compared with what was chosen, then another source, then another head", () => {
  assert.deepEqual(compared_with({ ...selection, against: [1, 0, 0] }, 2, panel), {
    source: 1,
    kind: "self",
    layer: 0,
    head: 0,
  });
  assert.deepEqual(compared_with(selection, 2, panel), {
    source: 1,
    kind: "self",
    layer: 1,
    head: 2,
  });
  assert.deepEqual(compared_with(selection, 1, panel), {
    source: 0,
    kind: "self",
    layer: 1,
    head: 0,
  });
  assert.deepEqual(compared_with({ ...selection, head: 0 }, 1, { layers: 2, heads: 1 }), {
    source: 0,
    kind: "self",
    layer: 0,
    head: 0,
  });
});
