import { difference_picture, weights_picture } from "./colours.js";
import { kept_values } from "./requests.js";
import { key_of } from "./state.js";
import { TILE, level_for, tiles_in } from "./viewport.js";

// Pictures of a map, coarse to fine: thumbnail, whole picture, tiles. A picture is painted once and
// then only blitted.

/**
 * @typedef {import("./state.js").Head} Head
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {import("./viewport.js").Area} Area
 * @typedef {import("./requests.js").Requests} Requests
 * @typedef {{
 *   canvas: HTMLCanvasElement, row: number, column: number, rows: number, columns: number,
 * }} Piece where a picture lies, in tokens
 * @typedef {import("./state.js").Panel & { size: import("./viewport.js").Size }} SizedPanel
 * @typedef {{ canvas: HTMLCanvasElement, table: Uint32Array, made_of: unknown }} Painted
 * @typedef {{ weights: Uint32Array, differences: () => Uint32Array }} Tables
 */

const KEPT_PIXELS = 24_000_000;
const MOST_QUESTIONS = 24;

/**
 * @param {Requests} requests
 * @param {(source: number, kind: string) => SizedPanel} panel
 */
export function tile_painter(requests, panel) {
  const kept = /** @type {ReturnType<typeof kept_values<Painted>>} */ (kept_values(KEPT_PIXELS));

  /** The canvas under `key`, painted again when its bytes or its colours are others. */
  function canvas_of(
    /** @type {string} */ key,
    /** @type {unknown} */ made_of,
    /** @type {Uint32Array} */ table,
    /** @type {() => HTMLCanvasElement} */ paint,
  ) {
    const found = kept.get(key);
    if (found && found.made_of === made_of && found.table === table) return found.canvas;
    const canvas = paint();
    kept.set(key, { canvas, table, made_of }, canvas.width * canvas.height);
    return canvas;
  }
  /** A head's thumbnail stretched over the whole map. @returns {Piece | null} */
  function thumbnail(/** @type {Head} */ head, /** @type {Tables} */ tables) {
    const { size, heads, thumb_height, thumb_width } = panel(head.source, head.kind);
    const atlas = requests.atlas(head.source, head.kind);
    if (!atlas) return null;
    const bytes = thumb_height * thumb_width;
    const start = (head.layer * heads + head.head) * bytes;
    const canvas = canvas_of(`thumb/${key_of(head)}`, atlas.version, tables.weights, () =>
      weights_picture(
        atlas.levels.subarray(start, start + bytes),
        thumb_width,
        thumb_height,
        tables.weights,
      ),
    );
    return { canvas, row: 0, column: 0, ...size };
  }
  /** A head's whole picture. @returns {Piece | null} */
  function whole(/** @type {Head} */ head, /** @type {Tables} */ tables) {
    const picture = requests.picture(head);
    if (!picture) return null;
    const { levels, width, height, level } = picture;
    const canvas = canvas_of(`whole/${key_of(head)}`, picture, tables.weights, () =>
      weights_picture(levels, width, height, tables.weights),
    );
    return { canvas, row: 0, column: 0, rows: height * 2 ** level, columns: width * 2 ** level };
  }
  /**
   * The tiles that the viewport needs beyond the whole picture and that have come; others are asked
   * for.
   */
  function tiles(
    /** @type {Head[]} */ heads,
    /** @type {Tables} */ tables,
    /** @type {Viewport} */ viewport,
    /** @type {Area} */ area,
    /** @type {number} */ coarsest,
  ) {
    const { size } = panel(heads[0].source, heads[0].kind);
    const level = level_for(viewport.cell, window.devicePixelRatio || 1);
    if (level >= coarsest) return [];
    /** @type {Piece[]} */
    const pieces = [];
    for (const { row, column } of tiles_in(viewport, size, area, level).slice(0, MOST_QUESTIONS)) {
      const parts = heads.map((head) => requests.tile(head, level, row, column));
      if (parts.some((part) => !part)) continue;
      const [first, second] = /** @type {Uint8Array[]} */ (parts);
      const width = Math.min(TILE, Math.ceil(size.columns / 2 ** level) - column * TILE);
      const height = first.length / width;
      const table = second ? tables.differences() : tables.weights;
      const key = `tile/${heads.map(key_of).join("-")}/${level}/${row}/${column}`;
      const canvas = canvas_of(key, first, table, () =>
        second
          ? difference_picture(first, second, width, height, table)
          : weights_picture(first, width, height, table),
      );
      const span = 2 ** level;
      pieces.push({
        canvas,
        row: row * TILE * span,
        column: column * TILE * span,
        rows: height * span,
        columns: width * span,
      });
    }
    return pieces;
  }
  return {
    thumbnail,
    /**
     * What to draw of one head, coarse to fine.
     * @param {Head} head
     * @param {Tables} tables
     * @param {Viewport} viewport
     * @param {Area} area
     * @returns {Piece[]}
     */
    pieces(head, tables, viewport, area) {
      const base = whole(head, tables);
      if (!base) return [thumbnail(head, tables)].filter((piece) => piece !== null);
      return [base, ...tiles([head], tables, viewport, area, requests.picture(head)?.level ?? 0)];
    },
    /**
     * What to draw of the difference of two heads of one size; [] until both are there.
     * @param {[Head, Head]} pair
     * @param {Tables} tables
     * @param {Viewport} viewport
     * @param {Area} area
     * @returns {Piece[]}
     */
    differences(pair, tables, viewport, area) {
      const [first, second] = pair.map((head) => requests.picture(head));
      if (
        !first ||
        !second ||
        first.levels.length !== second.levels.length ||
        first.width !== second.width
      )
        return [];
      const table = tables.differences();
      const canvas = canvas_of(`whole/${pair.map(key_of).join("-")}`, first, table, () =>
        difference_picture(first.levels, second.levels, first.width, first.height, table),
      );
      const base = {
        canvas,
        row: 0,
        column: 0,
        rows: first.height * 2 ** first.level,
        columns: first.width * 2 ** first.level,
      };
      return [base, ...tiles(pair, tables, viewport, area, first.level)];
    },
  };
}

/** @typedef {ReturnType<typeof tile_painter>} Painter */
