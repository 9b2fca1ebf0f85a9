import assert from "node:assert/strict";
import test from "node:test";

import {
  candidates_at,
  percent,
  place_after,
  shade_of,
  token_label,
  tokens_of,
  visible,
} from "./next_word.js";

const floats = (/** @type {number[]} */ ...values) => new DataView(new Float32Array(values).buffer);

test("pieces are gaps and tokens in turn, and joined they are the text", () => {
  const tokens = tokens_of(["", "The", " ", "cat", "!"], floats(NaN, NaN, NaN, 0.25, 2, 3), [1]);
  assert.deepEqual(
    tokens.map(({ gap, text }) => gap + text),
    ["The", " cat"],
  );
  assert.equal(tokens[1].probability, 0.25);
  assert.equal(tokens[1].rank, 3);
  assert.deepEqual(
    tokens.map((token) => token.is_mask),
    [false, true],
  );
  assert.deepEqual(tokens_of([""], floats(), []), []);
});

test("the chances of a place begin where those of the places before end", () => {
  const texts = [["a", "b"], [], ["c", "d", "e"]];
  const chances = floats(0.5, 0.25, 0.75, 0.125, 0.0625);
  assert.deepEqual(
    candidates_at(texts, chances, [[2, 1]], 2).map((one) => [one.text, one.probability, one.fixed]),
    [
      ["c", 0.75, false],
      ["d", 0.125, true],
      ["e", 0.0625, false],
    ],
  );
  assert.deepEqual(candidates_at(texts, chances, [], 1), []);
  assert.deepEqual(candidates_at(texts, chances, [], 7), []);
});

test("shades begin at 3, 6 and 10 bits, and what has no probability has none", () => {
  assert.deepEqual([0, 2.9, 3, 6, 9.9, 10, 40, NaN].map(shade_of), [0, 0, 1, 2, 2, 3, 3, 0]);
});

test("white space can be seen", () => {
  assert.deepEqual([" cat", "  x", "\n", "\t", "", " "].map(visible), [
    "·cat",
    "··x",
    "⏎",
    "⇥",
    "␣",
    "·",
  ]);
});

test("small chances keep their digits", () => {
  assert.deepEqual([1, 0.123, 0.0095, 0.00012, 1e-9, 0].map(percent), [
    "100.0 %",
    "12.3 %",
    "0.95 %",
    "0.01 %",
    "< 0.01 %",
    "0.00 %",
  ]);
});

test("a token says how probable it was", () => {
  const token = { text: " cat", gap: "", probability: 0.25, bits: 2, rank: 1233, is_mask: false };
  assert.equal(token_label(token), "·cat: 25.0 %, 2.0 bits, number 1,234");
  assert.equal(token_label({ ...token, rank: 0 }), "·cat: 25.0 %, 2.0 bits, the most probable");
  assert.match(token_label({ ...token, probability: NaN }), /first token/);
  assert.match(token_label({ ...token, is_mask: true }), /filled in/);
});

test("keys lead from token to token, the other way round in a text from the right", () => {
  assert.equal(place_after("ArrowRight", 3, 5, false), 4);
  assert.equal(place_after("ArrowRight", 5, 5, false), 5);
  assert.equal(place_after("ArrowRight", 3, 5, true), 2);
  assert.equal(place_after("ArrowLeft", 0, 5, false), 0);
  assert.equal(place_after("End", 0, 5, false), 5);
  assert.equal(place_after("Home", 3, 5, false), 0);
  assert.equal(place_after("x", 3, 5, false), null);
});
