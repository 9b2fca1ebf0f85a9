import assert from "node:assert/strict";
import test from "node:test";

import { called, matching, value_of } from "./combobox.js";

const LANGUAGES = [
  ["auto", "detect", "auto"],
  ["de", "German", "de"],
  ["el", "Greek", "el"],
  ["nds", "Low German", "nds"],
];
const MODELS = [
  ["embedded:en-de", "embedded:en-de", "ships"],
  ["Helsinki-NLP/opus-mt-en-de", "Helsinki-NLP/opus-mt-en-de", "hub"],
];

test("what begins with the typed text comes before what holds it; nothing typed offers all", () => {
  assert.deepEqual(
    matching(LANGUAGES, "ger").map(([value]) => value),
    ["de", "nds"],
  );
  assert.deepEqual(
    matching(LANGUAGES, "DE").map(([value]) => value),
    ["de", "auto"],
  );
  assert.deepEqual(matching(MODELS, "en-de").length, 2);
  assert.equal(matching(LANGUAGES, " "), LANGUAGES);
  assert.deepEqual(matching(LANGUAGES, "klingon"), []);
});

test("a field shows the name of its value, and takes names and anything else", () => {
  assert.deepEqual(
    ["de", "tlh", ""].map((value) => called(LANGUAGES, value)),
    ["German", "tlh", ""],
  );
  assert.deepEqual(
    [" german ", "DE", "detect", "my/model@main", ""].map((typed) => value_of(LANGUAGES, typed)),
    ["de", "de", "auto", "my/model@main", ""],
  );
});
