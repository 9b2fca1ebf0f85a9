import assert from "node:assert/strict";
import test from "node:test";

import {
  around,
  bounded,
  cell_at,
  fitted_area,
  labelled,
  level_for,
  showing,
  tiles_in,
  zoomed,
} from "./viewport.js";

const size = { rows: 8192, columns: 8192 };
const area = { left: 60, top: 50, width: 512, height: 512 };
const fit = { row: 0, column: 0, cell: 1 / 16 };

test("a whole map fits the room it is given, its cells square", () => {
  for (const [rows, columns] of [
    [1, 1],
    [6, 6],
    [300, 40],
    [40, 300],
    [8192, 8192],
  ]) {
    const made = fitted_area({ rows, columns }, 700, 600, 60, 50);
    assert.ok(
      made.area.left + made.area.width <= 700 && made.area.top + made.area.height <= 600,
      `${rows} × ${columns}`,
    );
    assert.ok(made.fit.cell > 0 && made.fit.cell <= 26);
  }
});

test("zooming keeps the point under the pointer", () => {
  const [x, y] = [200, 333];
  const before = cell_at(fit, size, area, x, y);
  const after = cell_at(zoomed(fit, 3, x, y, size, area, fit.cell), size, area, x, y);
  assert.deepEqual(after, before);
});

test("zooming out of the whole map changes nothing, and zooming in ends", () => {
  assert.deepEqual(zoomed(fit, 0.1, 100, 100, size, area, fit.cell), fit);
  assert.equal(zoomed(fit, 1e9, 100, 100, size, area, fit.cell).cell, 44);
});

test("nothing beside the map is shown", () => {
  assert.deepEqual(bounded({ row: -5, column: 9000, cell: 1 }, size, area, fit.cell), {
    row: 0,
    column: 8192 - 512,
    cell: 1,
  });
});

test("a block is shown whole and in the middle", () => {
  const { row, column, cell } = around(
    { row: 1000, column: 2000, rows: 64, columns: 32 },
    size,
    area,
    fit.cell,
  );
  assert.equal(cell, 8);
  assert.deepEqual([row, column], [1000, 2000 + 16 - 32]);
});

test("a cell outside comes in with as little movement as can be", () => {
  const at = { row: 100, column: 100, cell: 8 };
  assert.deepEqual(showing(at, { row: 120, column: 120 }, size, area, fit.cell), at);
  assert.deepEqual(showing(at, { row: 99, column: 170 }, size, area, fit.cell), {
    row: 99,
    column: 107,
    cell: 8,
  });
});

test("the cell under a point is the one drawn there", () => {
  const at = { row: 10.5, column: 3, cell: 10 };
  assert.deepEqual(cell_at(at, size, area, 60, 50), { row: 10, column: 3 });
  assert.deepEqual(cell_at(at, size, area, 60 + 25, 50 + 6), { row: 11, column: 5 });
  assert.equal(cell_at(at, size, area, 59, 50), null);
  assert.equal(cell_at(fit, { rows: 3, columns: 3 }, area, 100, 100), null);
});

test("the level asked for has pixels as large as the screen's and less than twice as large", () => {
  for (const cell of [0.06, 0.0625, 0.1, 0.3, 0.99]) {
    for (const density of [1, 2]) {
      const level = level_for(cell, density);
      const pixel = cell * density * 2 ** level;
      assert.ok(pixel >= 1 - 1e-9 && (level === 0 || pixel < 2), `${cell} × ${density} → ${level}`);
    }
  }
  assert.equal(level_for(10, 1), 0);
});

test("only tiles in view are asked for, the middle ones first", () => {
  const tiles = tiles_in({ row: 1000, column: 1000, cell: 1 }, size, area, 0);
  assert.deepEqual(
    new Set(tiles.map(({ row, column }) => `${row},${column}`)),
    new Set(["3,3", "3,4", "3,5", "4,3", "4,4", "4,5", "5,3", "5,4", "5,5"]),
  );
  assert.deepEqual(tiles[0], { row: 4, column: 4 });
  assert.equal(tiles_in(fit, size, area, 4).length, 4);
});

test("labels never touch, and the one pointed at is always written", () => {
  for (const here of [undefined, 20, 27, 99]) {
    const kept = labelled(20, 100, 4, here).sort((a, b) => a - b);
    if (here !== undefined) assert.ok(kept.includes(here));
    for (let i = 1; i < kept.length; i++)
      assert.ok((kept[i] - kept[i - 1]) * 4 >= 11, String(kept));
    assert.ok(kept.every((i) => i >= 20 && i < 100));
  }
  assert.equal(labelled(0, 10, 20).length, 10);
});
