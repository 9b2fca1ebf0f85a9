import assert from "node:assert/strict";
import test from "node:test";

import { Changes, grouped, short_name, spoken, swapped, told_value } from "./playground.js";

const field = (name, kind, usual = "") => ({
  name,
  kind,
  help: "",
  choices: [],
  hint: "",
  default: usual,
});
const TRANSLATE = [
  field("from", "language", "auto"),
  field("to", "language"),
  field("model", "model"),
  field("beams", "number", "1"),
];

test("languages, model and choices come first, and only many others are folded away", () => {
  assert.deepEqual(
    grouped(TRANSLATE).first.map(({ name }) => name),
    ["from", "to", "model", "beams"],
  );
  assert.deepEqual(grouped(TRANSLATE).more, []);
  const many = [
    field("back-translate", "model"),
    ...["top-p", "top-k"].map((name) => field(name, "number")),
    ...TRANSLATE,
  ];
  assert.deepEqual(
    grouped(many).first.map(({ name }) => name),
    ["from", "to", "model"],
  );
  assert.deepEqual(
    grouped(many).more.map(({ name }) => name),
    ["back-translate", "top-p", "top-k", "beams"],
  );
});

test("only a pair of languages can be exchanged", () => {
  assert.deepEqual(swapped(TRANSLATE), ["from", "to"]);
  assert.equal(swapped([field("language", "language", "auto"), field("model", "model")]), null);
});

test("defaults and empty fields say nothing", () => {
  const [from, to, model, beams] = TRANSLATE;
  assert.equal(told_value(from, "auto"), "");
  assert.equal(told_value(to, " de "), "de");
  assert.equal(told_value(model, ""), "");
  assert.equal(told_value(beams, "4"), "4");
});

test("an edit tells what was changed since the one before, and nothing else", () => {
  const changes = new Changes(7);
  changes.note("to");
  const first = changes.tell();
  changes.note("text");
  const second = changes.tell();
  assert.deepEqual([first.edit, first.holds("to"), first.holds("text")], [8, true, false]);
  assert.deepEqual([second.edit, second.holds("to"), second.holds("text")], [9, false, true]);
});

test("what stands here is newer than Python's value until Python has heard of it", () => {
  const changes = new Changes(0);
  assert.equal(changes.is_newer("to", 0), false);
  changes.note("to");
  assert.equal(changes.is_newer("to", 0), true, "not told yet");
  const { edit } = changes.tell();
  assert.equal(changes.is_newer("to", 0), true, "told, but not heard");
  assert.equal(changes.is_newer("to", edit), false);
  assert.equal(changes.is_newer("text", 0), false, "nobody has touched it");
  changes.note("to");
  assert.equal(changes.is_newer("to", edit), true, "changed again");
});

test("an example is named by the text to work on, and names are written for people", () => {
  assert.equal(
    short_name({
      texts: { context: "The Danube rises …", text: "Where\ndoes it rise?" },
      values: {},
    }),
    "Where does it rise?",
  );
  assert.equal(short_name({ texts: { text: "x".repeat(60) }, values: {} }).length, 34);
  assert.equal(spoken("max-words"), "max words");
});

test("of two views of a panel, the one whose edit Python heard last is right", () => {
  const [one, other] = [new Changes(0), new Changes(0)];
  let heard = 0;
  for (let i = 0; i < 3; i += 1) {
    one.note("text");
    heard = one.tell(heard).edit;
  }
  other.note("text");
  heard = other.tell(heard).edit;
  assert.equal(heard, 4);
  assert.equal(one.is_newer("text", heard), false, "its own edits are older");
});

test("what was changed stays to be told when Python has heard another view meanwhile", () => {
  const changes = new Changes(0);
  changes.note("to");
  const { edit, holds } = changes.tell(5);
  assert.deepEqual([edit, holds("to"), holds("text")], [6, true, false]);
});
