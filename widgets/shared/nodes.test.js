import assert from "node:assert/strict";
import test from "node:test";

import { built, harmless } from "./nodes.js";

/** As much of a page as `built` needs. */
class Element {
  constructor(tag) {
    [this.tag, this.attributes, this.children] = [tag, {}, []];
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  append(...children) {
    this.children.push(...children);
  }
}
globalThis.Element = Element;
globalThis.document = {
  createElement: (tag) => new Element(tag),
  createDocumentFragment: () => ({
    children: [],
    append(...children) {
      this.children.push(...children);
    },
  }),
  createTextNode: (text) => text,
};

test("a tree becomes elements in order, and text stays text", () => {
  const made = built([
    "p",
    { class: "x", dir: "auto" },
    ["a <b>", ["", {}, [["mark", {}, ["c"]], "d"]], ["br", {}, []]],
  ]);
  assert.deepEqual([made.tag, made.attributes], ["p", { class: "x", dir: "auto" }]);
  const [text, run, end] = made.children;
  assert.equal(text, "a <b>");
  assert.deepEqual(
    [run.children[0].tag, run.children[0].children, run.children[1]],
    ["mark", ["c"], "d"],
  );
  assert.equal(end.tag, "br");
});

test("what runs code is not made, whoever asks for it", () => {
  assert.ok(harmless("details", { open: "", "aria-label": "one" }));
  for (const [tag, attributes] of [
    ["script", {}],
    ["IFRAME", {}],
    ["img", { onerror: "x" }],
    ["p", { OnClick: "x" }],
    ["div", { srcdoc: "x" }],
  ]) {
    assert.ok(!harmless(tag, attributes), tag);
    assert.equal(built([tag, attributes, ["x"]]), "");
  }
});
