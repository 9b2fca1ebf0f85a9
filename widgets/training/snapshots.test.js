import assert from "node:assert/strict";
import test from "node:test";

import {
  changed_words,
  newest_until,
  short,
  steps_of,
  weights_of,
  with_snapshot,
} from "./snapshots.js";

const samples = (step, run = "") => ({ kind: "samples", run, step, rows: [] });
const attention = (step, size = 4) => ({
  kind: "attention",
  run: "",
  step,
  about: "cross",
  rows: ["x", "y"],
  columns: ["a", "b"],
  layers: 1,
  heads: 1,
  maps: new DataView(new ArrayBuffer(size)),
});
const words = (before, now) =>
  changed_words(before, now)
    .map(({ text, changed }) => (changed ? `[${text}]` : text))
    .join(" ");

test("snapshots beyond two hundred are thinned evenly, the first and the last stay", () => {
  let held = [];
  for (let step = 1; step <= 1000; step++) held = with_snapshot(held, samples(step));
  assert.ok(held.length <= 200 && held.length > 90, String(held.length));
  assert.equal(held[0].step, 1);
  assert.equal(held[held.length - 1].step, 1000);
  const gaps = held.slice(1).map(({ step }, i) => step - held[i].step);
  assert.ok(Math.max(...gaps) <= 20, String(Math.max(...gaps)));
});

test("large maps are bounded by their bytes, other kinds and runs are not touched", () => {
  let held = [samples(1), samples(1, "other")];
  for (let step = 1; step <= 40; step++) held = with_snapshot(held, attention(step, 1_000_000));
  const maps = held.filter(({ kind }) => kind === "attention");
  assert.ok(maps.length >= 4 && maps.length <= 8, String(maps.length));
  assert.equal(maps[maps.length - 1].step, 40);
  assert.equal(held.length, maps.length + 2);
});

test("what a resumed run takes again replaces what was there", () => {
  const held = [1, 2, 3, 2].reduce((all, step) => with_snapshot(all, samples(step)), []);
  assert.deepEqual(
    held.map(({ step }) => step),
    [1, 2],
  );
  assert.equal(with_snapshot([samples(5, "other"), attention(5)], samples(3)).length, 3);
});

test("steps of all kinds are one ascending list", () => {
  assert.deepEqual(steps_of([samples(20), attention(10), attention(20)]), [10, 20]);
});

test("the newest snapshot until a step comes with the one before it", () => {
  const held = [samples(10), samples(20), samples(30)];
  assert.deepEqual(
    newest_until(held, 25).map((one) => one?.step),
    [20, 10],
  );
  assert.deepEqual(
    newest_until(held, 5).map((one) => one?.step),
    [10, undefined],
  );
  assert.deepEqual(newest_until([], 5), [null, null]);
});

test("words outside the longest common subsequence are the changed ones", () => {
  assert.equal(words("a cat sat", "a dog sat down"), "a [dog] sat [down]");
  assert.equal(words("a b c", "b c"), "b c");
  assert.equal(words("a a", "a a a"), "a a [a]");
  assert.equal(words(null, "new text"), "new text");
  assert.equal(words("", "new"), "[new]");
  assert.equal(words("old", ""), "");
});

test("bytes are squares of weights, and the mean is over layers, heads or both", () => {
  const seen = {
    ...attention(1),
    layers: 2,
    heads: 2,
    maps: new Uint8Array([255, 0, 0, 255, 0, 255, 255, 0, 51, 51, 51, 51, 255, 255, 255, 255]),
  };
  assert.deepEqual([...weights_of(seen, 0, 0)], [1, 0, 0, 1]);
  assert.ok(Math.abs(weights_of(seen, 1, 0)[0] - 0.04) < 1e-7);
  assert.deepEqual([...weights_of(seen, 0, null)], [0.5, 0.5, 0.5, 0.5]);
  assert.ok(Math.abs(weights_of(seen, null, null)[1] - (0 + 1 + 0.04 + 1) / 4) < 1e-7);
  assert.deepEqual([...weights_of(seen, null, 1)], [0.5, 1, 1, 0.5]);
});

test("labels are short and show the spaces of tokenizers", () => {
  assert.deepEqual(["▁the", "Ġcat", "▁", "</s>", "a".repeat(14), "b".repeat(15)].map(short), [
    "␣the",
    "␣cat",
    "␣",
    "</s>",
    "a".repeat(14),
    `${"b".repeat(13)}…`,
  ]);
});
