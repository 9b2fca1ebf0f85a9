import { fitted } from "../shared/canvas.js";
import { direction_of, short_token } from "./state.js";
import { fitted_area, labelled } from "./viewport.js";

// One map on a canvas: pieces of picture, tokens on both axes (only those in view), and what is
// marked.

/**
 * @typedef {import("./state.js").Cell} Cell
 * @typedef {import("./state.js").Block} Block
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {import("./viewport.js").Area} Area
 * @typedef {import("./tiles.js").Piece} Piece
 * @typedef {import("../shared/theme.js").Theme} Theme
 * @typedef {{
 *   rows: string[], columns: string[], area: Area, viewport: Viewport, pieces: Piece[],
 *   theme: Theme,
 *   at: Cell | null, marked: Block | null, kept: Block | null, dim_from: number | null,
 * }} Plane marked: the selected tokens; kept: what a filter leaves; dim_from: the first row that is
 * not yet written
 */

const LABEL_FONT_PX = 11.5;
const LABEL_GAP = 7;
const MEASURED = 400;
const MOST_LABEL_PX = 110;

/**
 * The room that labels need and the area left for cells.
 * @param {HTMLCanvasElement} canvas
 * @param {string[]} rows
 * @param {string[]} columns
 * @param {Theme} theme
 * @param {number} width
 * @param {number} height
 */
export function plane_area(canvas, rows, columns, theme, width, height) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.font = `${LABEL_FONT_PX}px ${theme.font}`;
  const room = (/** @type {string[]} */ tokens) => {
    const step = Math.ceil(tokens.length / MEASURED);
    let longest = 0;
    for (let i = 0; i < tokens.length; i += step)
      longest = Math.max(longest, context.measureText(short_token(tokens[i])).width);
    return Math.ceil(Math.min(MOST_LABEL_PX, longest)) + LABEL_GAP * 2;
  };
  return fitted_area(
    { rows: rows.length, columns: columns.length },
    width,
    height,
    room(rows),
    room(columns),
  );
}

/** @param {HTMLCanvasElement} canvas @param {Plane} plane */
export function draw_plane(canvas, plane) {
  const { area, theme } = plane;
  const context = fitted(
    canvas,
    Math.ceil(area.left + area.width) + 2,
    Math.ceil(area.top + area.height) + 2,
  );
  context.save();
  context.beginPath();
  context.rect(area.left, area.top, area.width, area.height);
  context.clip();
  draw_pieces(context, plane);
  draw_veils(context, plane);
  if (plane.marked) draw_frame(context, plane, plane.marked, 1.5, 1);
  if (plane.at) draw_pointed(context, plane, plane.at);
  context.restore();
  context.strokeStyle = theme.line;
  context.strokeRect(area.left - 0.5, area.top - 0.5, area.width + 1, area.height + 1);
  draw_labels(context, plane);
}

/**
 * Where a block lies on the canvas.
 * @param {Plane} plane
 * @param {Block} block
 * @returns {[number, number, number, number]}
 */
function rectangle({ area, viewport }, { row, column, rows, columns }) {
  const { cell } = viewport;
  return [
    area.left + (column - viewport.column) * cell,
    area.top + (row - viewport.row) * cell,
    columns * cell,
    rows * cell,
  ];
}

/** @param {CanvasRenderingContext2D} context @param {Plane} plane */
function draw_pieces(context, plane) {
  for (const piece of plane.pieces) {
    const [x, y, width, height] = rectangle(plane, piece);
    // pooled by maximum, so enlarging keeps edges square
    context.imageSmoothingEnabled = width < piece.canvas.width;
    context.drawImage(piece.canvas, x, y, width, height);
  }
}

/**
 * What a filter leaves out, and rows that are not yet written, behind a veil.
 * @param {CanvasRenderingContext2D} context
 * @param {Plane} plane
 */
function draw_veils(context, plane) {
  const { rows, columns, kept, dim_from, theme } = plane;
  const veil = (/** @type {Block} */ block) =>
    block.rows > 0 && block.columns > 0 && context.fillRect(...rectangle(plane, block));
  context.fillStyle = `rgb(${theme.background.map(Math.round).join(" ")} / 0.86)`;
  if (kept) {
    const [below, after] = [kept.row + kept.rows, kept.column + kept.columns];
    veil({ row: 0, column: 0, rows: kept.row, columns: columns.length });
    veil({ row: below, column: 0, rows: rows.length - below, columns: columns.length });
    veil({ row: kept.row, column: 0, rows: kept.rows, columns: kept.column });
    veil({ row: kept.row, column: after, rows: kept.rows, columns: columns.length - after });
  }
  if (dim_from !== null) {
    veil({ row: dim_from, column: 0, rows: rows.length - dim_from, columns: columns.length });
    draw_frame(
      context,
      plane,
      { row: dim_from - 1, column: 0, rows: 1, columns: columns.length },
      1,
      0.7,
    );
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Plane} plane
 * @param {Block} block
 * @param {number} width px
 * @param {number} alpha
 */
function draw_frame(context, plane, block, width, alpha) {
  const [x, y, w, h] = rectangle(plane, block);
  context.save();
  context.strokeStyle = plane.theme.accent;
  context.lineWidth = width;
  context.globalAlpha = alpha;
  context.strokeRect(x, y, Math.max(w, 2), Math.max(h, 2));
  context.restore();
}

/**
 * A frame around the cell pointed at and its row; where cells are too small for frames, two faint
 * rules that cross.
 * @param {CanvasRenderingContext2D} context @param {Plane} plane @param {Cell} at
 */
function draw_pointed(context, plane, { row, column }) {
  const { area, theme, columns, viewport } = plane;
  if (viewport.cell >= 5) {
    draw_frame(context, plane, { row, column: 0, rows: 1, columns: columns.length }, 1, 0.55);
    return draw_frame(context, plane, { row, column, rows: 1, columns: 1 }, 1.5, 1);
  }
  const [x, y, width, height] = rectangle(plane, { row, column, rows: 1, columns: 1 });
  const [middle_x, middle_y] = [x + width / 2, y + height / 2];
  context.strokeStyle = context.fillStyle = theme.accent;
  context.globalAlpha = 0.35;
  context.fillRect(area.left, middle_y - 0.5, area.width, 1);
  context.fillRect(middle_x - 0.5, area.top, 1, area.height);
  context.globalAlpha = 1;
  context.strokeRect(middle_x - 4, middle_y - 4, 8, 8);
}

/** @param {CanvasRenderingContext2D} context @param {Plane} plane */
function draw_labels(context, { rows, columns, area, viewport, theme, at, marked }) {
  const { cell } = viewport;
  context.textBaseline = "middle";
  const write = (
    /** @type {string} */ token,
    /** @type {boolean} */ strong,
    /** @type {number} */ x,
    /** @type {number} */ y,
    /** @type {boolean} */ turned,
  ) => {
    context.save();
    context.fillStyle = strong ? theme.ink : theme.muted;
    context.font = `${strong ? "600 " : ""}${LABEL_FONT_PX}px ${theme.font}`;
    context.direction = direction_of(token);
    context.textAlign = turned ? "left" : "right";
    context.translate(x, y);
    if (turned) context.rotate(-Math.PI / 2);
    context.fillText(short_token(token), 0, 0, MOST_LABEL_PX);
    context.restore();
  };
  const inside = (
    /** @type {number} */ i,
    /** @type {number} */ from,
    /** @type {number} */ count,
  ) => i >= from && i < from + count;
  const end = (
    /** @type {number} */ start,
    /** @type {number} */ room,
    /** @type {number} */ count,
  ) => Math.min(count, Math.ceil(start + room / cell - 0.4));
  for (const i of labelled(
    Math.ceil(viewport.row - 0.5),
    end(viewport.row, area.height, rows.length),
    cell,
    at?.row,
  ))
    write(
      rows[i],
      i === at?.row || Boolean(marked && inside(i, marked.row, marked.rows)),
      area.left - LABEL_GAP,
      area.top + (i + 0.5 - viewport.row) * cell,
      false,
    );
  for (const i of labelled(
    Math.ceil(viewport.column - 0.5),
    end(viewport.column, area.width, columns.length),
    cell,
    at?.column,
  ))
    write(
      columns[i],
      i === at?.column || Boolean(marked && inside(i, marked.column, marked.columns)),
      area.left + (i + 0.5 - viewport.column) * cell,
      area.top - LABEL_GAP,
      true,
    );
}
