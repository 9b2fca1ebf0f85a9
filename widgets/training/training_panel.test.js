import assert from "node:assert/strict";
import test from "node:test";

import { factor_text, figures_of, lines_of, spoken_name } from "./training_panel.js";

const series = (run, name, group = "loss") => ({ run, group, name, steps: [1], values: [2] });

test("figures name only what is known, and the rest of the time only while running", () => {
  assert.deepEqual(
    figures_of(
      {
        step: 300,
        total_steps: 1900,
        epoch: 2.3456,
        eta_s: 125,
        learning_rate: 3e-4,
        padding: 0.0825,
      },
      true,
    ),
    [
      ["step", "300 / 1,900"],
      ["epoch", "2.35"],
      ["left", "2 min 05 s"],
      ["learning rate", "0.0003"],
      ["padding", "8.3 %"],
    ],
  );
  assert.deepEqual(figures_of({ step: 300, eta_s: 125, tokens_per_s: 4120.4 }, false), [
    ["step", "300"],
    ["tokens/s", "4,120"],
  ]);
  assert.deepEqual(figures_of({}, true), []);
});

test("lines of one run differ in colour and are named at their ends", () => {
  const [train, validation] = lines_of(
    [series("", "train"), series("", "validation")],
    [""],
    new Set(),
  );
  assert.deepEqual([train.end, train.thin, train.noisy, train.colour], ["train", true, true, 0]);
  assert.deepEqual(
    [validation.end, validation.thin, validation.noisy, validation.colour],
    ["validation", false, false, 1],
  );
});

test("lines of several runs have the colours of the runs, also when one is hidden", () => {
  const all = [
    series("a", "train"),
    series("a", "validation"),
    series("b", "train"),
    series("b", "validation"),
  ];
  const lines = lines_of(all, ["a", "b"], new Set(["a"]));
  assert.deepEqual(
    lines.map(({ name, colour, raw }) => [name, colour, raw]),
    [
      ["b train", 1, false],
      ["b validation", 1, false],
    ],
  );
  assert.equal(lines_of([series("a", "bleu", "metric")], ["a", "b"], new Set())[0].name, "a");
});

test("names and factors are written for people", () => {
  assert.deepEqual(
    [spoken_name("tokens_per_s"), spoken_name("exact_match")],
    ["tokens per second", "exact match"],
  );
  assert.deepEqual([factor_text(1), factor_text(0.25)], ["× 1", "× 0.25"]);
});
