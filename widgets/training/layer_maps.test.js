import assert from "node:assert/strict";
import test from "node:test";

import {
  flags_of,
  last_until,
  layer_label,
  layers_of,
  log_level,
  log_range,
  step_at,
  step_range,
} from "./layer_maps.js";

const track = (values) => ({ steps: values.map((_, i) => 10 * i), values });

test("series of one layer come together, in the order of the model", () => {
  const layers = layers_of([
    { group: "gradient_norm", name: "b", steps: [1], values: [2] },
    { group: "gradient_norm", name: "a", steps: [1], values: [3] },
    { group: "activation_std", name: "b", steps: [1], values: [4] },
  ]);
  assert.deepEqual(
    layers.map(({ name }) => name),
    ["b", "a"],
  );
  assert.deepEqual(layers[0].activation_std.values, [4]);
  assert.deepEqual(layers[1].activation_std.values, []);
});

test("the range spans the values, at least one decade and at most six", () => {
  assert.deepEqual(log_range([track([0.01, 10])]), { low: 0.01, high: 10 });
  const narrow = log_range([track([1, 1])]);
  assert.ok(Math.abs(narrow.high / narrow.low - 10) < 1e-9 && narrow.low < 1 && narrow.high > 1);
  assert.ok(Math.abs(log_range([track([1e-30, 1])]).low - 1e-6) < 1e-18);
  assert.deepEqual(log_range([track([0, NaN, Infinity])]), { low: 0.1, high: 1 });
});

test("equal ratios are equal distances between colours", () => {
  const range = { low: 0.01, high: 100 };
  assert.deepEqual(
    [0, 0.01, 1, 100, 1e9].map((value) => log_level(value, range)),
    [0, 0, 128, 255, 255],
  );
  assert.deepEqual(
    [NaN, Infinity].map((value) => log_level(value, range)),
    [-1, -1],
  );
});

test("a gradient a hundred times smaller or larger than the median of the layers is named", () => {
  assert.deepEqual(flags_of([1, 1.2, 0.9, 0.001, 0.02, 400, NaN]), [
    "",
    "",
    "",
    "vanishing",
    "",
    "exploding",
    "broken",
  ]);
  assert.deepEqual(flags_of([0, 0]), ["", ""]);
  assert.deepEqual(flags_of([undefined, 1]), ["", ""]);
});

test("layers are named as people say them", () => {
  assert.deepEqual(
    ["encoder.layers.0", "source_embedding", "transformer.h.11", "bert.encoder.layer.3"].map(
      layer_label,
    ),
    ["encoder 0", "source embedding", "transformer 11", "bert encoder 3"],
  );
});

test("a column shows the last value that was seen until its step", () => {
  assert.deepEqual(
    [-5, 0, 9, 10, 25, 99].map((step) => last_until([0, 10, 20], step)),
    [0, 0, 0, 1, 2, 2],
  );
});

test("the last look has a column of its own, and one look fills the width", () => {
  const layer = {
    name: "a",
    gradient_norm: track([1, 1, 1]),
    activation_std: track([]),
    activation_mean: track([]),
  };
  assert.deepEqual(step_range([layer]), [0, 30]);
  assert.equal(last_until([0, 10, 20], step_at(299, 300, [0, 30])), 2);
  assert.equal(last_until([0, 10, 20], step_at(150, 300, [0, 30])), 1);
  assert.deepEqual(step_range([{ ...layer, gradient_norm: track([1]) }]), [0, 1]);
  assert.deepEqual(step_range([]), [0, 1]);
});
