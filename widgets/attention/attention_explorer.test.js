import assert from "node:assert/strict";
import test from "node:test";

import explorer from "./attention_explorer.js";
import { views_of } from "./frame.js";

/** The names of the views for a panel of so many heads, and so on. */
const names = (
  /** @type {any} */ { sources = 1, heads = 4, first_step = null, live = true, view = "map" },
) => {
  const shown = {
    selection: () => ({ view }),
    panel: () => ({ heads, layers: 1, first_step }),
    sources: () => Array(sources),
    exact_rows: () => live,
  };
  return views_of(/** @type {any} */ (shown)).map(([name]) => name);
};

test("anywidget finds what it calls", () => assert.equal(typeof explorer.render, "function"));

test("only views that have something to show have a tab", () => {
  assert.deepEqual(names({}), ["overview", "map", "lines", "cross", "neuron", "diff"]);
  assert.ok(names({ sources: 3 }).includes("steps") && names({ first_step: 5 }).includes("steps"));
  assert.ok(
    !names({ heads: 1 }).includes("diff") && names({ heads: 1, sources: 2 }).includes("diff"),
  );
  assert.ok(!names({ live: false }).includes("neuron"));
});

test("a view that was chosen from Python has its tab in any case", () =>
  assert.ok(names({ view: "steps" }).includes("steps")));
