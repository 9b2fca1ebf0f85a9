import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { map_gestures, still_state } from "./gestures.js";
import { draw_plane, plane_area } from "./plane.js";
import { KINDS, key_of, range_of, segment_block, strongest, weight_of } from "./state.js";

// One head enlarged: point for the exact weight, zoom, pan, mark tokens.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./state.js").Cell} Cell
 * @typedef {import("./state.js").Block} Block
 * @typedef {import("./gestures.js").Layout} Layout
 */

const MAP_WIDEST_PX = 760;
const MAP_HIGHEST_PX = 620;
const ASK_AFTER_MS = 60;
const HINT =
  "Point at a cell. Click, then wheel or + − to zoom, drag to pan; " +
  "Shift-drag, or Enter twice, marks tokens.";

/**
 * The cells that are selected, where they are one rectangle.
 * @param {{ rows: number[], columns: number[] }} selection
 * @returns {Block | null}
 */
export function selected_block({ rows, columns }) {
  if (!rows.length || !columns.length) return null;
  const [row, column] = [Math.min(...rows), Math.min(...columns)];
  return {
    row,
    column,
    rows: Math.max(...rows) - row + 1,
    columns: Math.max(...columns) - column + 1,
  };
}

/** What to store for a marked rectangle. @param {Block | null} block */
export const tokens_of = (block) => ({
  rows: block ? range_of(block.row, block.rows) : [],
  columns: block ? range_of(block.column, block.columns) : [],
});

/**
 * The weights of one row as far as they are known: exact, from the picture, or null.
 * @param {Explorer} explorer
 * @param {import("./state.js").Head} head
 * @param {number} row
 * @param {boolean} exactly ask for them
 * @returns {{ weights: Float32Array, exact: boolean } | null}
 */
export function row_weights(explorer, head, row, exactly) {
  const picture = explorer.requests.picture(head);
  const exact = exactly && explorer.exact_rows() ? explorer.requests.row(head, row) : null;
  if (exact) return { weights: exact, exact: true };
  if (!picture) return null;
  const columns = explorer.columns(head).length;
  const start = (row >> picture.level) * picture.width;
  return {
    weights: Float32Array.from({ length: columns }, (_, i) =>
      weight_of(picture.levels[start + (i >> picture.level)]),
    ),
    exact: false,
  };
}

/**
 * "most: the 0.61, cat 0.20": what a row looks at most.
 * @param {string[]} tokens
 * @param {ArrayLike<number>} weights
 * @returns {(Node | string)[]}
 */
export const most_of = (tokens, weights) =>
  strongest(weights, 4)
    .filter(({ weight }) => weight >= 0.005)
    .flatMap(({ place, weight }, i) => [
      i ? ", " : "most: ",
      element("bdi", {}, tokens[place]),
      ` ${weight.toFixed(2)}`,
    ]);

/** @param {Explorer} explorer */
export function map_view(explorer) {
  const canvas = element("canvas", {
    class: "llm-map",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "attention map",
  });
  const value = element("div", { class: "llm-value" });
  const most = element("div", { class: "llm-row" });
  const zoom_in = element(
    "button",
    { type: "button", "aria-label": "zoom in", title: "Zoom in (+)" },
    "+",
  );
  const zoom_out = element(
    "button",
    { type: "button", "aria-label": "zoom out", title: "Zoom out (−)" },
    "−",
  );
  const zoom_all = element(
    "button",
    { type: "button", "aria-label": "show all of it", title: "All of it (0)" },
    "⤢",
  );
  const zooming = element("div", { class: "llm-zoom" }, zoom_in, zoom_out, zoom_all);
  const root = element(
    "div",
    { class: "llm-view-map" },
    canvas,
    element("div", { class: "llm-foot" }, zooming, value),
    most,
  );
  /** @type {Layout | null} */
  let layout = null;
  let laid_out = "";
  let timer = 0;
  let ask_exactly = false;

  const state = still_state();
  const gestures = map_gestures(canvas, state, () => layout, {
    changed: explorer.redraw,
    leave: () => explorer.leave(),
    pointed(at) {
      window.clearTimeout(timer);
      ask_exactly = false;
      if (at)
        timer = window.setTimeout(() => ((ask_exactly = true), explorer.redraw()), ASK_AFTER_MS);
      explorer.redraw();
    },
    marked(block) {
      const again =
        block &&
        block.rows * block.columns === 1 &&
        JSON.stringify(tokens_of(block)) ===
          JSON.stringify(tokens_of(selected_block(explorer.selection())));
      explorer.select(tokens_of(again ? null : block));
      if (block)
        explorer.tell(again ? "nothing marked" : `marked ${block.rows} by ${block.columns} tokens`);
    },
  });
  zoom_in.onclick = () => gestures.zoom(1.5);
  zoom_out.onclick = () => gestures.zoom(1 / 1.5);
  zoom_all.onclick = () => gestures.zoom(0);

  /** Lays the map out again when its tokens, its width or the text pair shown are others. */
  function lay_out(/** @type {import("../shared/theme.js").Theme} */ theme) {
    const [rows, columns, { source, kind, segment }] = [
      explorer.rows(),
      explorer.columns(),
      explorer.selection(),
    ];
    const width = Math.min(MAP_WIDEST_PX, root.clientWidth || MAP_WIDEST_PX);
    const wanted = [source, kind, segment, width, rows.length, columns.length].join("/");
    if (wanted === laid_out) return;
    laid_out = wanted;
    layout = {
      ...plane_area(canvas, rows, columns, theme, width, MAP_HIGHEST_PX),
      size: { rows: rows.length, columns: columns.length },
    };
    gestures.show(segment_block(explorer.panel(), segment));
  }
  /** The weight under the pointer and what its row looks at most, in words. */
  function describe() {
    const [rows, columns, head, { at }] = [
      explorer.rows(),
      explorer.columns(),
      explorer.head(),
      state,
    ];
    canvas.setAttribute(
      "aria-label",
      `${head.kind} attention, layer ${head.layer}, head ${head.head}, ` +
        `${rows.length} by ${columns.length} tokens`,
    );
    most.replaceChildren();
    if (!at) return value.replaceChildren(element("span", { class: "llm-muted" }, HINT));
    const known = row_weights(explorer, head, at.row, ask_exactly);
    if (!known) return value.replaceChildren(explorer.waiting_text());
    const number = element(
      "b",
      {},
      known.exact
        ? known.weights[at.column].toFixed(4)
        : `≈ ${number_text(known.weights[at.column], 2)}`,
    );
    const place = element("span", { class: "llm-muted" }, ` ${at.row}, ${at.column}`);
    value.replaceChildren(
      element("bdi", {}, rows[at.row]),
      " → ",
      element("bdi", {}, columns[at.column]),
      number,
      place,
    );
    most.replaceChildren(...most_of(columns, known.weights));
    if (document.activeElement === canvas && known.exact) explorer.tell(value.textContent ?? "");
  }
  return {
    root,
    /** @param {number | null} [dim_from] the first row that is not yet written */
    draw(dim_from = null) {
      const theme = explorer.theme();
      lay_out(theme);
      if (!layout) return;
      const [selection, viewport, head] = [
        explorer.selection(),
        state.viewport ?? layout.fit,
        explorer.head(),
      ];
      const pieces = explorer.painter.pieces(head, explorer.tables(), viewport, layout.area);
      draw_plane(canvas, {
        rows: explorer.rows(),
        columns: explorer.columns(),
        area: layout.area,
        viewport,
        pieces,
        theme,
        at: state.at,
        marked: state.draft ?? selected_block(selection),
        kept: segment_block(explorer.panel(), selection.segment),
        dim_from,
      });
      canvas.dataset.head = pieces.length && explorer.requests.picture(head) ? key_of(head) : "";
      canvas.dataset.cell = viewport.cell.toFixed(3);
      canvas.dataset.pieces = String(pieces.length);
      describe();
    },
    focus: () => canvas.focus(),
    about: () => {
      const { rows: row, columns: column } = KINDS[explorer.selection().kind] ?? KINDS.self;
      return `row: ${row} · column: the ${column} it looks at`;
    },
  };
}
