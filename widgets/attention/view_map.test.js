import assert from "node:assert/strict";
import test from "node:test";

import { row_weights, selected_block, tokens_of } from "./view_map.js";

const head = { source: 0, kind: "self", layer: 0, head: 0 };

test("marked tokens and their rectangle are the same thing twice", () => {
  const block = { row: 3, column: 5, rows: 2, columns: 4 };
  assert.deepEqual(tokens_of(block), { rows: [3, 4], columns: [5, 6, 7, 8] });
  assert.deepEqual(selected_block(tokens_of(block)), block);
  assert.equal(selected_block(tokens_of(null)), null);
});

test("a row is exact when it may be asked for, otherwise read from the picture", () => {
  const picture = { levels: Uint8Array.from([0, 255, 255, 0]), width: 2, height: 2, level: 1 };
  const explorer = /** @type {any} */ ({
    columns: () => ["a", "b", "c"],
    exact_rows: () => true,
    requests: { picture: () => picture, row: () => Float32Array.from([0.5, 0.25, 0.25]) },
  });
  assert.deepEqual(row_weights(explorer, head, 3, true), {
    weights: Float32Array.from([0.5, 0.25, 0.25]),
    exact: true,
  });
  assert.deepEqual(row_weights(explorer, head, 3, false), {
    weights: Float32Array.from([1, 1, 0]),
    exact: false,
  });
  assert.deepEqual(
    row_weights({ ...explorer, exact_rows: () => false }, head, 0, true)?.weights,
    Float32Array.from([0, 0, 1]),
  );
});
