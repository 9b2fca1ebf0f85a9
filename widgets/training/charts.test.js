import assert from "node:assert/strict";
import test from "node:test";

import {
  drawn_lines,
  end_text,
  frame_of,
  line_points,
  nearest,
  seen_of,
  smoothed,
  spread,
  weight_for,
  x_px,
  y_px,
  y_ticks,
} from "./charts.js";

const line = (values, more = {}) => ({
  name: "a",
  colour: 0,
  thin: false,
  noisy: false,
  raw: true,
  end: "a",
  steps: values.map((_, i) => i),
  values,
  ...more,
});

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
  assert.deepEqual(
    [-5, 14, 16, 31, 99].map((step) => nearest(steps, step)),
    [0, 0, 1, 2, 2],
  );
  assert.equal(nearest([], 3), -1);
});

test("every point lies inside its frame, on both scales", () => {
  const series = [line([4, 0.01, NaN, Infinity])];
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
  const frame = frame_of([line([1, 100])], true, 600, 260, 90);
  assert.ok(
    Math.abs(y_px(frame, 1) - y_px(frame, 10) - (y_px(frame, 10) - y_px(frame, 100))) < 1e-9,
  );
  assert.ok(y_ticks(frame).includes(10));
});

test("ticks of many decades stay few", () => {
  const frame = frame_of([line([1e-9, 1e6])], true, 300, 136, 60);
  assert.ok(y_ticks(frame).length <= 8, String(y_ticks(frame)));
});

test("no point and one point still have a frame", () => {
  for (const series of [[], [line([0])]]) {
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
  assert.ok(
    points.some(
      ([x, y]) => Math.abs(x - x_px(frame, 33_333)) < 1.5 && Math.abs(y - y_px(frame, 100)) < 1e-9,
    ),
  );
});

test("labels keep their distance and their order", () => {
  assert.deepEqual(spread([50, 50, 10], 15, 0, 100), [50, 65, 10]);
  assert.deepEqual(spread([99, 100], 15, 0, 100), [85, 100]);
});

test("only noisy lines are smoothed, and lines without a point are left out", () => {
  const values = Array.from({ length: 1000 }, (_, i) => i % 2);
  const [calm, noisy, ...rest] = drawn_lines(
    [line(values), line(values, { noisy: true }), line([])],
    0.9,
  );
  assert.equal(rest.length, 0);
  assert.equal(calm.drawn, calm.values);
  assert.ok(Math.abs(noisy.drawn[999] - 0.5) < 0.1);
});

test("a spike behind a smoothed line does not flatten it; without raw values it plays none", () => {
  const values = Array.from({ length: 1000 }, (_, i) => (i === 500 ? 1e6 : 1 + (i % 2)));
  const [shown] = drawn_lines([line(values, { noisy: true })], 0.5);
  const raw = seen_of(shown)[1].values;
  assert.deepEqual(raw, [1, 2]);
  assert.deepEqual(
    seen_of({ ...shown, raw: false }).map((one) => one.values),
    [shown.drawn],
  );
});

test("a name at the end of a line is as short as its chart is narrow", () => {
  assert.equal(end_text("validation", 1.23456, 800), "validation  1.235");
  assert.equal(end_text("validation", 1.23456, 300), "validat…  1.235");
  assert.equal(end_text("", 2, 300), "2");
});

test("smoothing is over the same share of a short and of a long curve", () => {
  assert.equal(weight_for(0.9, 1000), 0.9);
  // steps until 1/e is left, as a share
  const memory = (count) => -1 / Math.log(weight_for(0.9, count)) / count;
  for (const count of [50, 200, 5000]) assert.ok(Math.abs(memory(count) / memory(1000) - 1) < 1e-9);
  assert.deepEqual([weight_for(0, 100), weight_for(0.99, 1e9)], [0, 0.999]);
});
