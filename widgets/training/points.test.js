import assert from "node:assert/strict";
import test from "node:test";

import { empty_store, series_in, take_points } from "./points.js";

const triples = (...rows) => Float32Array.from(rows.flat());
const NAMES = [
  ["", "loss", "train"],
  ["", "loss", "validation"],
  ["", "metric", "bleu"],
];

test("triples become one series a number, in order", () => {
  const store = empty_store();
  assert.ok(take_points(store, 0, 1, triples([0, 1, 4], [1, 1, 5], [0, 2, 3], [2, 1, 30])));
  const [train, validation, ...rest] = series_in(store, NAMES, ["loss"]);
  assert.equal(rest.length, 0);
  assert.deepEqual([train.name, train.steps, train.values], ["train", [1, 2], [4, 3]]);
  assert.deepEqual(validation.values, [5]);
});

test("what is new follows what is held", () => {
  const store = empty_store();
  take_points(store, 0, 1, triples([0, 1, 4]));
  assert.ok(take_points(store, 1, 1, triples([0, 2, 3])));
  assert.deepEqual(store.series[0].values, [4, 3]);
});

test("a gap, a repetition and news of another whole are refused and change nothing", () => {
  const store = empty_store();
  take_points(store, 0, 2, triples([0, 1, 4]));
  for (const [from, generation] of [
    [2, 2],
    [1, 1],
    [1, 3],
    [0, 1],
  ])
    assert.equal(take_points(store, from, generation, triples([0, 9, 9])), false);
  assert.deepEqual(store.series[0].values, [4]);
});

test("a new whole takes the place of everything", () => {
  const store = empty_store();
  take_points(store, 0, 1, triples([0, 1, 4], [0, 2, 3], [1, 2, 3]));
  assert.ok(take_points(store, 0, 2, triples([0, 1, 7])));
  assert.deepEqual(store.series, [{ steps: [1], values: [7] }]);
  assert.ok(take_points(store, 1, 2, triples([0, 2, 8])));
});

test("numbers that no series has are left out but counted, so that the next news fit", () => {
  const store = empty_store();
  take_points(store, 0, 1, triples([-1, 1, 1], [0.5, 1, 1], [NaN, 1, 1], [1e9, 1, 1], [0, 1, 2]));
  assert.equal(store.series.length, 1);
  assert.equal(store.count, 5);
});
