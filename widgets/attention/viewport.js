import { clamped } from "./state.js";

// What part of a map is looked at, and which tiles of which mip level that needs. No drawing here.

/**
 * @typedef {import("./state.js").Cell} Cell
 * @typedef {import("./state.js").Block} Block
 * @typedef {{
 *   left: number, top: number, width: number, height: number,
 * }} Area where the cells are drawn, CSS pixels
 * @typedef {{
 *   row: number, column: number, cell: number,
 * }} Viewport the token at the upper left, as a fraction too, and pixels a token
 * @typedef {{ rows: number, columns: number }} Size of the map in tokens
 */

export const TILE = 256;
const LARGEST_CELL = 26;
const CLOSEST_CELL = 44;
const LABEL_EVERY_PX = 11;

/**
 * The area for a map, whole, in `width` × `height` pixels less the room of the labels, and the
 * viewport that shows all of it.
 * @param {Size} size
 * @param {number} width
 * @param {number} height
 * @param {number} left
 * @param {number} top
 * @returns {{ area: Area, fit: Viewport }}
 */
export function fitted_area({ rows, columns }, width, height, left, top) {
  const room = [Math.max(100, width - left - 2), Math.max(100, height - top - 2)];
  const exact = Math.min(LARGEST_CELL, room[0] / columns, room[1] / rows);
  const cell = exact >= 4 ? Math.floor(exact) : exact;
  return {
    area: { left, top, width: cell * columns, height: cell * rows },
    fit: { row: 0, column: 0, cell },
  };
}

/**
 * A viewport that shows nothing beside the map.
 * @param {Viewport} viewport
 * @param {Size} size
 * @param {Area} area
 * @param {number} smallest cell, px
 */
export function bounded(viewport, { rows, columns }, area, smallest) {
  const cell = clamped(viewport.cell, smallest, Math.max(smallest, CLOSEST_CELL));
  return {
    cell,
    row: clamped(viewport.row, 0, Math.max(0, rows - area.height / cell)),
    column: clamped(viewport.column, 0, Math.max(0, columns - area.width / cell)),
  };
}

/**
 * The viewport `factor` times closer, with the point x, y of the area staying where it is.
 * @param {Viewport} viewport
 * @param {number} factor
 * @param {number} x
 * @param {number} y
 * @param {Size} size
 * @param {Area} area
 * @param {number} smallest
 */
export function zoomed(viewport, factor, x, y, size, area, smallest) {
  const cell = clamped(viewport.cell * factor, smallest, Math.max(smallest, CLOSEST_CELL));
  const stay = (/** @type {number} */ start, /** @type {number} */ at) =>
    start + at / viewport.cell - at / cell;
  return bounded(
    { cell, row: stay(viewport.row, y - area.top), column: stay(viewport.column, x - area.left) },
    size,
    area,
    smallest,
  );
}

/**
 * The viewport that shows a block as large as it can.
 * @param {Block} block
 * @param {Size} size
 * @param {Area} area
 * @param {number} smallest
 */
export function around(block, size, area, smallest) {
  const cell = clamped(
    Math.min(area.width / block.columns, area.height / block.rows),
    smallest,
    Math.max(smallest, CLOSEST_CELL),
  );
  const start = (
    /** @type {number} */ from,
    /** @type {number} */ count,
    /** @type {number} */ room,
  ) => from + count / 2 - room / cell / 2;
  return bounded(
    {
      cell,
      row: start(block.row, block.rows, area.height),
      column: start(block.column, block.columns, area.width),
    },
    size,
    area,
    smallest,
  );
}

/**
 * The viewport moved just so far that a cell is inside.
 * @param {Viewport} viewport
 * @param {Cell} cell
 * @param {Size} size
 * @param {Area} area
 * @param {number} smallest
 */
export function showing(viewport, cell, size, area, smallest) {
  const near = (
    /** @type {number} */ start,
    /** @type {number} */ place,
    /** @type {number} */ room,
  ) => clamped(start, place + 1 - room / viewport.cell, place);
  return bounded(
    {
      cell: viewport.cell,
      row: near(viewport.row, cell.row, area.height),
      column: near(viewport.column, cell.column, area.width),
    },
    size,
    area,
    smallest,
  );
}

/**
 * The cell under a point, or null beside the cells.
 * @param {Viewport} viewport
 * @param {Size} size
 * @param {Area} area
 * @param {number} x
 * @param {number} y
 * @returns {Cell | null}
 */
export function cell_at(viewport, { rows, columns }, { left, top, width, height }, x, y) {
  if (x < left || y < top || x >= left + width || y >= top + height) return null;
  const [row, column] = [
    Math.floor(viewport.row + (y - top) / viewport.cell),
    Math.floor(viewport.column + (x - left) / viewport.cell),
  ];
  return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
}

/**
 * The mip level at which a pixel of the map is at least one of the screen: nothing finer can be
 * seen, and pooled by maximum nothing is lost.
 * @param {number} cell CSS pixels a token @param {number} density device pixels a CSS pixel
 */
export const level_for = (cell, density) =>
  Math.max(0, Math.ceil(-Math.log2(cell * density) - 1e-9));

/**
 * The tiles of a level that a viewport needs, those in its middle first.
 * @param {Viewport} viewport @param {Size} size @param {Area} area @param {number} level
 * @returns {Cell[]} rows and columns of tiles
 */
export function tiles_in({ row, column, cell }, { rows, columns }, { width, height }, level) {
  const span = TILE * 2 ** level;
  const last = (
    /** @type {number} */ from,
    /** @type {number} */ room,
    /** @type {number} */ most,
  ) => Math.ceil(Math.min(most, from + room / cell) / span);
  const tiles = [];
  for (let r = Math.floor(row / span); r < last(row, height, rows); r++)
    for (let c = Math.floor(column / span); c < last(column, width, columns); c++)
      tiles.push({ row: r, column: c });
  const away = (/** @type {Cell} */ tile) =>
    Math.hypot(
      (tile.row + 0.5) * span - row - height / cell / 2,
      (tile.column + 0.5) * span - column - width / cell / 2,
    );
  return tiles.sort((a, b) => away(a) - away(b));
}

/**
 * Which labels to write so that none touches another; the one at `here` always, in place of its
 * neighbours.
 * @param {number} start first token shown
 * @param {number} end the one after the last
 * @param {number} cell px
 * @param {number} [here]
 * @returns {number[]}
 */
export function labelled(start, end, cell, here) {
  const stride = Math.max(1, Math.ceil(LABEL_EVERY_PX / cell));
  const kept = [];
  for (let i = Math.ceil(start / stride) * stride; i < end; i += stride)
    if (here === undefined || i === here || Math.abs(i - here) * cell >= LABEL_EVERY_PX)
      kept.push(i);
  if (here !== undefined && here >= start && here < end && here % stride) kept.push(here);
  return kept;
}
