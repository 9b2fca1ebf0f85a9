import assert from "node:assert/strict";
import test from "node:test";

import { steps_range } from "./view_steps.js";

test("the slider goes through several sources, otherwise through written rows", () => {
  assert.deepEqual(steps_range(3, 4, 10), { of: "sources", first: 0, last: 2 });
  assert.deepEqual(steps_range(1, 4, 10), { of: "rows", first: 4, last: 9 });
  assert.deepEqual(steps_range(1, null, 10), { of: "rows", first: 0, last: 9 });
  assert.deepEqual(steps_range(1, 10, 10), { of: "rows", first: 9, last: 9 });
});
