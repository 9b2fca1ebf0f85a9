import assert from "node:assert/strict";
import test from "node:test";

import { changes_of } from "./silence.js";

test("a change is told for what was there before, and nothing for what is new", () => {
  const before = {
    kind: "mask",
    entries: /** @type {[string, number][]} */ ([
      ["a", 0.5],
      ["b", 0.25],
    ]),
  };
  const after = {
    kind: "mask",
    entries: /** @type {[string, number][]} */ ([
      ["b", 0.75],
      ["c", 0.1],
    ]),
  };
  assert.deepEqual(changes_of(before, after), [0.5, null]);
});

test("the words of a target are compared place by place, also where one stands twice", () => {
  const before = {
    kind: "target",
    entries: /** @type {[string, number][]} */ ([
      ["the", 0.5],
      ["cat", 0.25],
      ["the", 0.125],
    ]),
  };
  const after = {
    kind: "target",
    entries: /** @type {[string, number][]} */ ([
      ["the", 0.5],
      ["cat", 0.5],
      ["the", 0.25],
    ]),
  };
  assert.deepEqual(changes_of(before, after), [0, 0.25, 0.125]);
});
