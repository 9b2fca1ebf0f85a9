import assert from "node:assert/strict";
import test from "node:test";

import { pair_of, strip_levels } from "./view_neuron.js";

test("a strip uses the whole ramp, keeps signs, and survives zeros", () => {
  assert.deepEqual(strip_levels([4, -1, 0]), [255, -127, 0]);
  assert.deepEqual(strip_levels([0, 0]), [0, 0]);
});

test("without a marked pair the last row and its strongest key are shown", () => {
  assert.deepEqual(pair_of({ rows: [1], columns: [2] }, [0.9, 0.1, 0], 5), { row: 1, column: 2 });
  assert.deepEqual(pair_of({ rows: [], columns: [] }, [0.1, 0.7, 0.2], 5), { row: 4, column: 1 });
  assert.deepEqual(pair_of({ rows: [], columns: [] }, null, 5), { row: 4, column: 0 });
});
