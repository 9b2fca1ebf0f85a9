import assert from "node:assert/strict";
import test from "node:test";

import { bytes_of, floats_of, number_text, duration_text, nice_ticks } from "./numbers.js";

test("floats are read from a buffer that starts at an odd byte", () => {
  const buffer = new ArrayBuffer(13);
  new Float32Array(buffer, 4, 2).set([1.5, -2]);
  const odd = new Uint8Array(13);
  odd.set(new Uint8Array(buffer, 4, 8), 5);
  assert.deepEqual([...floats_of(new DataView(odd.buffer, 5, 8))], [1.5, -2]);
  assert.equal(bytes_of(null).length, 0);
});

test("numbers and durations read as people write them", () => {
  assert.deepEqual(
    [0, 0.0003, 0.12345, 12.345, 12345.6, 0.00001, NaN].map((value) => number_text(value)),
    ["0", "0.0003", "0.123", "12.3", "12,346", "1.0e-5", "NaN"],
  );
  assert.deepEqual([8, 125, 4320].map(duration_text), ["8 s", "2 min 05 s", "1 h 12 min"]);
});

test("ticks are round and inside the range", () => {
  assert.deepEqual(nice_ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  for (const tick of nice_ticks(0.013, 0.094, 4)) assert.ok(tick >= 0.013 && tick <= 0.0941);
  assert.deepEqual(nice_ticks(3, 3, 4), [3]);
});
