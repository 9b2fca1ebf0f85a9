import assert from "node:assert/strict";
import test from "node:test";

import { bar_parts, key_of, last_used, state_text } from "./model_panel.js";

const line = (given = {}) => ({
  name: "a",
  task: "translate",
  device: "cpu",
  dtype: "float32",
  bytes: 250,
  size: "250 B",
  parameters: "60",
  state: "idle",
  leases: 0,
  pinned: false,
  uses: 1,
  used_at_s: 100,
  colour: 7,
  ...given,
});
const cpu = { name: "cpu", budget_bytes: 1000, held_bytes: 251, blocked_bytes: 100, caption: "" };

test("a bar holds the models of its device by share of the budget, none too small to see", () => {
  const parts = bar_parts(
    cpu,
    [
      line(),
      line({ name: "b", bytes: 1 }),
      line({ name: "c", device: "cuda" }),
      line({ name: "d", bytes: 0 }),
    ],
    0.01,
  );
  assert.deepEqual(
    parts.map(({ share }) => share),
    [0.25, 0.01],
  );
  assert.deepEqual(parts[0], { share: 0.25, colour: 1, title: "a: 250 B" });
  assert.equal(
    bar_parts({ ...cpu, budget_bytes: 100, held_bytes: 500 }, [line()])[0].share,
    0.5,
    "more than the budget still fits",
  );
});

test("a state says what a model is doing and that it is pinned", () => {
  assert.equal(state_text(line()), "idle");
  assert.equal(state_text(line({ state: "pinned", pinned: true })), "idle, pinned");
  assert.equal(
    state_text(line({ state: "in use", leases: 2, pinned: true })),
    "in use by 2, pinned",
  );
  assert.equal(state_text(line({ state: "loading" })), "loading…");
});

test("the time since the last use goes on without news from the kernel", () => {
  assert.deepEqual(
    [100, 161, 7300].map((now) => last_used(line(), now)),
    ["just now", "1 min 01 s ago", "2 h 00 min ago"],
  );
  assert.equal(last_used(line({ leases: 1 }), 500), "now");
});

test("the same model in two formats has two rows", () => {
  assert.notEqual(key_of(line()), key_of(line({ dtype: "bfloat16" })));
});
