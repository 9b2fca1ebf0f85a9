import assert from "node:assert/strict";
import test from "node:test";
import { deflateSync } from "node:zlib";

import { kept_values, pooling_of, requests_of } from "./requests.js";

const head = { source: 0, kind: "self", layer: 1, head: 2 };

/** Requests with what they sent and how often something changed. */
function connected() {
  /** @type {any[]} */
  const sent = [];
  let changes = 0;
  const requests = requests_of(
    { send: (/** @type {any} */ content) => sent.push(content) },
    () => ({ rows: 2000, columns: 2000 }),
    () => (changes += 1),
  );
  const answer = (/** @type {any} */ content, /** @type {number[]} */ bytes = []) =>
    requests.receive(content, [new DataView(Uint8Array.from(bytes).buffer)]);
  return { requests, sent, answer, changes: () => changes };
}

test("a question is asked once and its answer kept", () => {
  const { requests, sent, answer, changes } = connected();
  assert.equal(requests.tile(head, 0, 3, 4), null);
  assert.equal(requests.tile(head, 0, 3, 4), null);
  assert.equal(sent.length, 1);
  const { id, ...question } = sent[0];
  assert.deepEqual(question, { want: "tile", ...head, level: 0, row: 3, column: 4 });
  answer({ id, want: "tile" }, [1, 2]);
  assert.deepEqual([...(requests.tile(head, 0, 3, 4) ?? [])], [1, 2]);
  assert.deepEqual([sent.length, changes()], [1, 1]);
});

test("a picture says by how much it is pooled", () => {
  const { requests, sent, answer } = connected();
  requests.picture(head);
  answer({ id: sent[0].id, height: 500, width: 500 }, [7]);
  assert.equal(requests.picture(head)?.level, 2);
  assert.deepEqual(
    [pooling_of(2000, 500), pooling_of(2049, 513), pooling_of(5, 5), pooling_of(513, 257)],
    [2, 2, 0, 1],
  );
});

test("answers to nobody here, and answered twice, are dropped", () => {
  const { requests, sent, answer, changes } = connected();
  requests.row(head, 0);
  answer({ id: "other view", want: "row" }, [0, 0, 0, 0]);
  assert.equal(changes(), 0);
  answer({ id: sent[0].id }, [0, 0, 128, 63]);
  answer({ id: sent[0].id }, [0, 0, 0, 0]);
  assert.deepEqual([...(requests.row(head, 0) ?? [])], [1]);
});

test("what could not be answered is told, and asked again when something else is selected", () => {
  const { requests, sent, answer } = connected();
  requests.row(head, 0);
  answer({ id: sent[0].id, error: "out of memory" });
  assert.equal(requests.failure(), "out of memory");
  requests.row(head, 0);
  assert.equal(sent.length, 1);
  requests.forget_failures();
  requests.row(head, 0);
  assert.equal(sent.length, 2);
});

test("thumbnails that come later fill the atlas where they belong", () => {
  const { requests, sent, answer } = connected();
  requests.atlas(0, "self");
  answer({ id: sent[0].id, whole: false, length: 4 }, []);
  answer({ want: "thumbnails", source: 0, kind: "self", start: 2, whole: true }, [8, 9]);
  const atlas = requests.atlas(0, "self");
  assert.deepEqual([...(atlas?.levels ?? [])], [0, 0, 8, 9]);
  assert.deepEqual([atlas?.whole, atlas?.version], [true, 2]);
});

test("the least recently used is dropped when room is needed, never the newest", () => {
  const kept = /** @type {ReturnType<typeof kept_values<string>>} */ (kept_values(10));
  kept.set("a", "A", 4);
  kept.set("b", "B", 4);
  kept.get("a");
  kept.set("c", "C", 4);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => kept.get(key)),
    ["A", undefined, "C"],
  );
  kept.set("d", "D", 40);
  assert.deepEqual(
    ["a", "c", "d"].map((key) => kept.get(key)),
    [undefined, undefined, "D"],
  );
});

test("a picture that was compressed is asked for once, and there when it is inflated", async () => {
  const { requests, sent, answer } = connected();
  requests.picture(head);
  const levels = new Uint8Array(40000).fill(9);
  answer({ id: sent[0].id, height: 200, width: 200, deflated: true }, [...deflateSync(levels)]);
  assert.equal(requests.picture(head), null);
  while (!requests.picture(head)) await new Promise((done) => setTimeout(done, 1));
  assert.deepEqual(requests.picture(head)?.levels, levels);
  assert.equal(sent.length, 1);
});

test("a picture that came damaged is an error", async () => {
  const { requests, sent, answer } = connected();
  requests.picture(head);
  answer({ id: sent[0].id, height: 200, width: 200, deflated: true }, [1, 2, 3]);
  while (!requests.failure()) await new Promise((done) => setTimeout(done, 1));
  assert.match(requests.failure(), /damaged/);
});
