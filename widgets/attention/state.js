import VOCABULARY from "./views.json" with { type: "json" };

// The words of the attention explorer: what Python sends, what is selected, and how heads are named
// and ordered.

/**
 * @typedef {{
 *   kind: string, layers: number, heads: number, rows: number, columns: number,
 *   thumb_height: number, thumb_width: number,
 *   row_segments: number[] | null, column_segments: number[] | null, first_step: number | null,
 * }} Panel rows and columns are places in `tokens`
 * @typedef {{
 *   title: string, formula: string, source: string, unit: string, low: number | null,
 *   high: number | null,
 * }} Measure
 * @typedef {{ title: string, panels: Panel[], measures: Record<string, Measure> }} Source
 * @typedef {keyof typeof VOCABULARY.views} ViewName
 * @typedef {keyof typeof VOCABULARY.segments} Segment
 * @typedef {{ title: string, rows: string, columns: string }} Kind what stands on the two axes
 * @typedef {{
 *   source: number, against: [number, number, number] | null, view: ViewName, kind: string,
 *   layer: number, head: number,
 *   heads: [number, number][], rows: number[], columns: number[],
 *   silenced: [string, number, number][], step: number | null,
 *   sort: string, segment: Segment,
 * }} Selection
 * @typedef {{ source: number, kind: string, layer: number, head: number }} Head
 * @typedef {{ row: number, column: number }} Cell
 * @typedef {{
 *   row: number, column: number, rows: number, columns: number,
 * }} Block a rectangle of cells
 * @typedef {{ side: "row" | "column", place: number }} Token
 */

/**
 * Names of views, kinds of attention and parts of a text pair, in the order in which they are
 * shown.
 */
export const VIEW_NAMES = /** @type {Record<ViewName, string>} */ (VOCABULARY.views);
export const KINDS = /** @type {Record<string, Kind>} */ (VOCABULARY.kinds);
export const SEGMENT_NAMES = /** @type {Record<Segment, string>} */ (VOCABULARY.segments);
const LONGEST_LABEL = 14;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** One text for a head, to keep things under. @param {Head} head */
export const key_of = ({ source, kind, layer, head }) => `${source}/${kind}/${layer}/${head}`;

/** @param {{ layer: number, head: number }} head */
export const head_name = ({ layer, head }) => `L${layer}·H${head}`;

/** The weight that a square-root companded byte stands for. @param {number} level */
export const weight_of = (level) => (level / 255) ** 2;

/** The byte for a weight. @param {number} weight */
export const level_of = (weight) =>
  Math.floor(255 * Math.sqrt(Math.min(1, Math.max(0, weight))) + 0.5);

/** A token that fits an axis. @param {string} token */
export const short_token = (token) =>
  [...token].length <= LONGEST_LABEL
    ? token
    : `${[...token].slice(0, LONGEST_LABEL - 1).join("")}…`;

/** The direction in which a token is written. @param {string} token @returns {"rtl" | "ltr"} */
export const direction_of = (token) => (RIGHT_TO_LEFT.test(token) ? "rtl" : "ltr");

/**
 * Whether most of these tokens, of those with letters, are written from right to left.
 * @param {string[]} tokens
 */
export function is_right_to_left(tokens) {
  const written = tokens.filter((token) => /\p{L}/u.test(token));
  return written.filter((token) => direction_of(token) === "rtl").length * 2 > written.length;
}

/** @param {number} value @param {number} low @param {number} high */
export const clamped = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * The heads that are drawn together: the enlarged one first, then those marked, each once.
 * @param {Selection} selection
 * @returns {Head[]}
 */
export function heads_of({ source, kind, layer, head, heads }) {
  const others = heads.filter(([l, h]) => l !== layer || h !== head);
  return [[layer, head], ...others].map(([l, h]) => ({ source, kind, layer: l, head: h }));
}

/**
 * Heads in the order in which they are shown, and how many stand in a row: layer by layer, or by
 * falling measure, with what is not a number at the end.
 * @param {Panel} panel
 * @param {ArrayLike<number> | null} values layers · heads of them; null: unsorted
 * @returns {{ order: number[], across: number }} places layer · heads + head
 */
export function order_of({ layers, heads }, values) {
  const order = Array.from({ length: layers * heads }, (_, i) => i);
  if (!values) return { order, across: heads };
  const of = (/** @type {number} */ i) => (Number.isNaN(values[i]) ? -Infinity : values[i]);
  return { order: order.sort((a, b) => of(b) - of(a) || a - b), across: heads };
}

/**
 * Where an arrow key leads in a grid of `count` things, `across` in a row; null for a key that
 * moves nothing.
 * @param {string} pressed @param {number} place @param {number} count @param {number} across
 * @returns {number | null}
 */
export function moved(pressed, place, count, across) {
  const row = Math.floor(place / across);
  const last = count - 1;
  const of_row = (/** @type {number} */ to) =>
    clamped(to, row * across, Math.min(last, row * across + across - 1));
  switch (pressed) {
    case "ArrowLeft":
      return of_row(place - 1);
    case "ArrowRight":
      return of_row(place + 1);
    case "ArrowUp":
      return place >= across ? place - across : place;
    case "ArrowDown":
      return row === Math.floor(last / across) ? place : Math.min(last, place + across);
    case "Home":
      return of_row(0);
    case "End":
      return of_row(last);
    default:
      return null;
  }
}

/**
 * The rectangle of cells that a text-pair filter keeps: rows of its first segment, columns of its
 * second; null for no filter, or when the panel has no such tokens.
 * @param {Panel} panel @param {Selection["segment"]} segment
 * @returns {Block | null}
 */
export function segment_block({ row_segments, column_segments }, segment) {
  if (!segment || !row_segments || !column_segments) return null;
  const span = (/** @type {number[]} */ segments, /** @type {string} */ letter) => {
    const wanted = letter === "A" ? 0 : 1;
    return [segments.indexOf(wanted), segments.lastIndexOf(wanted)];
  };
  const [[top, bottom], [left, right]] = [
    span(row_segments, segment[0]),
    span(column_segments, segment[1]),
  ];
  return top < 0 || left < 0
    ? null
    : { row: top, column: left, rows: bottom - top + 1, columns: right - left + 1 };
}

/**
 * The `count` largest of `weights` with their places, largest first.
 * @param {ArrayLike<number>} weights @param {number} count
 * @returns {{ place: number, weight: number }[]}
 */
export function strongest(weights, count) {
  const all = Array.from(weights, (weight, place) => ({ weight, place }));
  return all.sort((a, b) => b.weight - a.weight || a.place - b.place).slice(0, count);
}

/**
 * The one token whose lines alone are shown: the marked row, otherwise the marked column; null when
 * there are several or none.
 * @param {{ rows: number[], columns: number[] }} selection
 * @returns {Token | null}
 */
export function marked_token({ rows, columns }) {
  if (rows.length === 1) return { side: "row", place: rows[0] };
  return columns.length === 1 && !rows.length ? { side: "column", place: columns[0] } : null;
}

/** Whole numbers from `start` on. @param {number} start @param {number} count */
export const range_of = (start, count) => Array.from({ length: count }, (_, i) => start + i);
