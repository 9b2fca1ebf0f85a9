import assert from "node:assert/strict";
import test from "node:test";

import { frame_of, joined, line_points, nearest, progress_text, series_of, smoothed, spread, x_px, y_px, y_ticks } from "./loss_curve.js";

const triples = (...rows) => Float32Array.from(rows.flat());

test("triples become one series a name, in order", () => {
  const [train, validation] = series_of(triples([0, 1, 4], [1, 1, 5], [0, 2, 3]), ["train", "validation"]);
  assert.deepEqual(train, { name: "train", steps: [1, 2], values: [4, 3] });
  assert.deepEqual(validation, { name: "validation", steps: [1], values: [5] });
});

test("a triple of a series without a name is left out", () => {
  assert.deepEqual(series_of(triples([3, 1, 4]), ["train"])[0].steps, []);
});

test("new points are put where they belong, overlap or not", () => {
  const held = triples([0, 1, 1], [0, 2, 2]);
  assert.deepEqual([...joined(held, 2, triples([0, 3, 3]))], [0, 1, 1, 0, 2, 2, 0, 3, 3]);
  assert.deepEqual([...joined(held, 1, triples([0, 2, 9]))], [0, 1, 1, 0, 2, 9]);
});

test("a gap is not papered over", () => assert.equal(joined(triples([0, 1, 1]), 2, triples([0, 3, 3])), null));

test("smoothing a constant gives the constant from the first point on", () => {
  for (const value of smoothed(Array(40).fill(2), 0.9)) assert.ok(Math.abs(value - 2) < 1e-12);
});

test("smoothing is the debiased exponential moving average and passes over NaN", () => {
  const [first, hole, second] = smoothed([1, NaN, 4, ...Array(40).fill(0)], 0.5);
  assert.equal(first, 1);
  assert.ok(Number.isNaN(hole));
  assert.ok(Math.abs(second - (0.25 * 1 + 0.5 * 4) / 0.75) < 1e-12);
});

test("a short series is not smoothed", () => assert.deepEqual(smoothed([3, 1, 2], 0.9), [3, 1, 2]));

test("the nearest step is found at both ends and between", () => {
  const steps = [10, 20, 40];
  assert.deepEqual([-5, 14, 16, 31, 99].map((step) => nearest(steps, step)), [0, 0, 1, 2, 2]);
  assert.equal(nearest([], 3), -1);
});

test("every point lies inside its frame, on both scales", () => {
  const series = series_of(triples([0, 1, 4], [0, 2, 0.01], [0, 3, NaN], [0, 4, Infinity]), ["train"]);
  for (const log of [false, true]) {
    const frame = frame_of(series, log, 600, 260, 90);
    const points = line_points(frame, series[0].steps, series[0].values);
    assert.equal(points.length, 2);
    for (const [x, y] of points) {
      assert.ok(x >= frame.left && x <= frame.right);
      assert.ok(y >= frame.top && y <= frame.bottom);
    }
    assert.ok(points[0][1] < points[1][1], "the larger value is higher up");
  }
});

test("equal ratios are equal distances on the log scale", () => {
  const frame = frame_of(series_of(triples([0, 0, 1], [0, 1, 100]), ["a"]), true, 600, 260, 90);
  assert.ok(Math.abs(y_px(frame, 1) - y_px(frame, 10) - (y_px(frame, 10) - y_px(frame, 100))) < 1e-9);
  assert.ok(y_ticks(frame).includes(10));
});

test("no point and one point still have a frame", () => {
  for (const series of [[], series_of(triples([0, 5, 0]), ["a"])]) {
    const frame = frame_of(series, false, 600, 260, 90);
    assert.ok(frame.x[1] > frame.x[0] && frame.y[1] > frame.y[0]);
  }
});

test("a long line keeps its spike when it is thinned", () => {
  const steps = Array.from({ length: 50_000 }, (_, i) => i);
  const values = steps.map((step) => (step === 33_333 ? 100 : 1));
  const frame = frame_of([{ name: "a", steps, values }], false, 600, 260, 90);
  const points = line_points(frame, steps, values);
  assert.ok(points.length <= 2 * (frame.right - frame.left + 2));
  assert.ok(points.some(([x, y]) => Math.abs(x - x_px(frame, 33_333)) < 1.5 && Math.abs(y - y_px(frame, 100)) < 1e-9));
});

test("labels keep their distance and their order", () => {
  assert.deepEqual(spread([50, 50, 10], 15, 0, 100), [50, 65, 10]);
  assert.deepEqual(spread([99, 100], 15, 0, 100), [85, 100]);
});

test("progress names only what is known, and the rest only while running", () => {
  assert.equal(progress_text({ step: 300, total_steps: 1900, eta_s: 125, learning_rate: 3e-4 }, true), "step 300 of 1,900 · 2 min 05 s left · learning rate 0.0003");
  assert.equal(progress_text({ step: 300, eta_s: 125 }, false), "step 300");
  assert.equal(progress_text({}, true), "");
});
