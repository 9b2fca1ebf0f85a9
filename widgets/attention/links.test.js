import assert from "node:assert/strict";
import test from "node:test";

import { FAINTEST, bucket_of, line_style, row_levels } from "./links.js";

const head = { source: 0, kind: "self", layer: 0, head: 0 };

test("stronger weights are drawn at least as strongly, the faintest not at all", () => {
  assert.equal(bucket_of(FAINTEST - 1), -1);
  let last = 0;
  for (let level = FAINTEST; level < 256; level++) {
    const { alpha, width } = line_style(bucket_of(level));
    assert.ok(alpha >= last && alpha <= 1 && width > 0);
    last = alpha;
  }
  assert.equal(line_style(bucket_of(255)).alpha, 1);
});

test("a row comes from the whole picture, and is asked for where the picture is pooled", () => {
  const levels = Uint8Array.from([1, 2, 3, 4]);
  const requests = (/** @type {number} */ level) =>
    /** @type {any} */ ({
      picture: () => ({ levels, width: 2, height: 2, level }),
      row: () => Float32Array.from([1, 0.25]),
    });
  assert.deepEqual([...(row_levels(requests(0), head, 1, true) ?? [])], [3, 4]);
  assert.deepEqual([...(row_levels(requests(1), head, 1, true) ?? [])], [255, 128]);
  assert.equal(row_levels(requests(1), head, 1, false), null);
});
