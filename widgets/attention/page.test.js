import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";

import { answer_of, unpacked } from "./page.js";

const saved = {
  state: {},
  note: "",
  packed: "",
  heads: { "0/self/1/2": { level: 1, height: 1, width: 2, start: 2, bytes: 2 } },
  atlases: [{ source: 0, kind: "self", start: 0, bytes: 2 }],
  measures: [{ source: 0, kind: "self", name: "entropy", values: [0.5] }],
};
const bytes = Uint8Array.from([9, 8, 7, 6]);
const read = (/** @type {DataView} */ view) => [
  ...new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
];

test("packed bytes come out as they went in", async () => {
  assert.deepEqual([...(await unpacked(gzipSync(bytes).toString("base64")))], [9, 8, 7, 6]);
});

test("what the file holds is answered from it", () => {
  const place = { source: 0, kind: "self" };
  const [picture, [levels]] = answer_of(saved, bytes, {
    want: "picture",
    ...place,
    layer: 1,
    head: 2,
  });
  assert.deepEqual([picture, read(levels)], [{ height: 1, width: 2 }, [7, 6]]);
  assert.deepEqual(read(answer_of(saved, bytes, { want: "atlas", ...place })[1][0]), [9, 8]);
  assert.equal(
    answer_of(saved, bytes, { want: "measure", ...place, name: "entropy" })[1][0].getFloat32(
      0,
      true,
    ),
    0.5,
  );
});

test("what it does not hold is an error that says so", () => {
  for (const want of ["neuron", "row", "predict", "measure", "atlas", "tile"])
    assert.match(answer_of(saved, bytes, { want, source: 1, kind: "self" })[0].error, /file/);
});
