import assert from "node:assert/strict";
import test from "node:test";

import { all_places, curve_points, distance_to, height_at, scale_of } from "./tuning_board.js";

const trial = (steps, losses, total_steps = 0) => ({ steps, losses, total_steps });
const box = { left: 0, right: 100, top: 0, bottom: 10 };

test("all trials share one scale, with a little air", () => {
  const scale = scale_of([trial([10], [2], 40), trial([10, 20], [4, 3], 30)]);
  assert.deepEqual([scale.last, scale.log], [40, false]);
  assert.ok(Math.abs(scale.low - 1.9) < 1e-12 && Math.abs(scale.high - 4.1) < 1e-12);
  assert.ok(Math.abs(height_at(scale, 3) - 0.5) < 1e-12);
});

test("a trial that went astray makes the scale logarithmic", () => {
  const scale = scale_of([trial([1], [1]), trial([1], [100])]);
  assert.ok(scale.log);
  assert.ok(Math.abs(height_at(scale, 10) - 0.5) < 1e-12);
});

test("before there is a value the scale can be drawn all the same", () => {
  const scale = scale_of([trial([], [])]);
  assert.ok(scale.high > scale.low && scale.last === 1);
});

test("losses that are not finite are left out", () => {
  const scale = { last: 20, low: 0, high: 2, log: false };
  assert.deepEqual(curve_points(trial([0, 10, 20], [2, null, 1]), scale, box), [
    [0, 0],
    [100, 5],
  ]);
});

test("the distance to a line is that to its nearest segment or end", () => {
  const line = [
    [0, 0],
    [10, 0],
    [10, 10],
  ];
  assert.equal(distance_to([5, 3], line), 3);
  assert.equal(distance_to([13, 5], line), 3);
  assert.equal(distance_to([-3, -4], line), 5);
  assert.equal(distance_to([0, 0], []), Infinity);
});

test("the value is the last place, and equal values lie in the middle", () => {
  assert.deepEqual(all_places({ places: [0.2, 1], value: 3 }, [1, 5]), [0.2, 1, 0.5]);
  assert.deepEqual(all_places({ places: [0.2], value: 3 }, [3, 3]), [0.2, 0.5]);
});
