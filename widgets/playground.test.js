import assert from "node:assert/strict";
import test from "node:test";

import { grouped, short_name, spoken, swapped, told_values } from "./playground.js";

const field = (name, kind, usual = "") => ({ name, kind, help: "", choices: [], hint: "", default: usual });
const TRANSLATE = [field("from", "language", "auto"), field("to", "language"), field("model", "model"), field("beams", "number", "1")];

test("languages, model and choices come first, and only many others are folded away", () => {
  assert.deepEqual(grouped(TRANSLATE).first.map(({ name }) => name), ["from", "to", "model", "beams"]);
  assert.deepEqual(grouped(TRANSLATE).more, []);
  const many = [field("back-translate", "model"), ...["top-p", "top-k"].map((name) => field(name, "number")), ...TRANSLATE];
  assert.deepEqual(grouped(many).first.map(({ name }) => name), ["from", "to", "model"]);
  assert.deepEqual(grouped(many).more.map(({ name }) => name), ["back-translate", "top-p", "top-k", "beams"]);
});

test("only a pair of languages can be exchanged", () => {
  assert.deepEqual(swapped(TRANSLATE), ["from", "to"]);
  assert.equal(swapped([field("language", "language", "auto"), field("model", "model")]), null);
});

test("defaults and empty fields say nothing", () => {
  const held = { from: "auto", to: " de ", model: "", beams: "4" };
  assert.deepEqual(told_values(TRANSLATE, (name) => held[name]), { to: "de", beams: "4" });
});

test("an example is named by the text to work on, and names are written for people", () => {
  assert.equal(short_name({ texts: { context: "The Danube rises …", text: "Where\ndoes it rise?" }, values: {} }), "Where does it rise?");
  assert.equal(short_name({ texts: { text: "x".repeat(60) }, values: {} }).length, 34);
  assert.equal(spoken("max-words"), "max words");
});
