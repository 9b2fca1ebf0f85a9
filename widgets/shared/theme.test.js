import assert from "node:assert/strict";
import test from "node:test";

import { parse_colour } from "./theme.js";

test("colours are read in the ways a browser writes them", () => {
  assert.deepEqual(parse_colour("rgb(17, 34, 51)"), [17, 34, 51, 1]);
  assert.deepEqual(parse_colour("rgba(0, 0, 0, 0)"), [0, 0, 0, 0]);
  assert.deepEqual(parse_colour("color(srgb 1 0 0 / 0.5)"), [255, 0, 0, 0.5]);
});
