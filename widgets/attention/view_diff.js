import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { map_gestures, still_state } from "./gestures.js";
import { draw_plane, plane_area } from "./plane.js";
import { head_name } from "./state.js";
import { row_weights, selected_block, tokens_of } from "./view_map.js";
import { bounded } from "./viewport.js";

// Two heads side by side and subtracted; the three maps move together.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./state.js").Head} Head
 * @typedef {import("./state.js").Selection} Selection
 * @typedef {import("./gestures.js").Layout} Layout
 */

const DIFF_WIDEST_PX = 420;
const NARROWEST = 190;
const DIFF_HIGHEST_PX = 420;
const GAP_PX = 18;

/**
 * What the selected head is compared with: what was chosen, otherwise the same head of another
 * source, otherwise the next head.
 * @param {Selection} selection
 * @param {number} sources how many there are
 * @param {{ heads: number, layers: number }} panel
 * @returns {Head}
 */
export function compared_with({ against, source, kind, layer, head }, sources, { heads, layers }) {
  if (against) return { source: against[0], kind, layer: against[1], head: against[2] };
  if (sources > 1) return { source: source ? 0 : 1, kind, layer, head };
  return heads > 1
    ? { source, kind, layer, head: (head + 1) % heads }
    : { source, kind, layer: (layer + 1) % layers, head };
}

/** @param {HTMLSelectElement} select @param {string[]} names @param {number} chosen */
function fill(select, names, chosen) {
  if (select.options.length !== names.length)
    select.replaceChildren(...names.map((name, i) => element("option", { value: i }, name)));
  select.value = String(chosen);
  select.hidden = names.length < 2;
}

/** @param {Explorer} explorer */
export function diff_view(explorer) {
  const source = element("select", { "aria-label": "compare with" });
  const layer = element("select", { "aria-label": "layer to compare with" });
  const head = element("select", { "aria-label": "head to compare with" });
  const choice = element(
    "div",
    { class: "llm-choice" },
    element("span", { class: "llm-muted" }, "compare with"),
    source,
    layer,
    head,
  );
  const value = element("div", { class: "llm-value" });
  const state = still_state();
  const planes = [0, 1, 2].map(() => {
    const name = element("div", { class: "llm-plane-name", dir: "auto" });
    const canvas = element("canvas", {
      class: "llm-map",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "attention map",
    });
    const plane = {
      name,
      canvas,
      root: element("div", { class: "llm-plane" }, name, canvas),
      layout: /** @type {Layout | null} */ (null),
    };
    map_gestures(canvas, state, () => plane.layout, {
      changed: explorer.redraw,
      pointed: explorer.redraw,
      leave: () => explorer.leave(),
      marked: (block) => explorer.select(tokens_of(block)),
    });
    return plane;
  });
  const root = element(
    "div",
    { class: "llm-view-diff" },
    choice,
    element("div", { class: "llm-planes" }, ...planes.map((plane) => plane.root)),
    value,
  );
  for (const select of [source, layer, head])
    select.onchange = () => {
      const wanted = explorer.panel({
        source: Number(source.value),
        kind: explorer.selection().kind,
      });
      explorer.select({
        against: [
          Number(source.value),
          Math.min(Number(layer.value), wanted.layers - 1),
          Math.min(Number(head.value), wanted.heads - 1),
        ],
      });
    };

  const title = (/** @type {Head} */ one) =>
    explorer.sources().length > 1
      ? `${head_name(one)} · ${explorer.source_name(one.source)}`
      : head_name(one);
  /** @param {[Head, Head]} pair @param {boolean} alike */
  function describe([first, second], alike) {
    const { at } = state;
    if (!alike)
      return value.replaceChildren(
        "The two have different tokens: they can be looked at side by side, but not subtracted.",
      );
    if (!at)
      return value.replaceChildren(
        element(
          "span",
          { class: "llm-muted" },
          "Blue: the first looks there more. Orange: the second. Zero is the background.",
        ),
      );
    const [a, b] = [first, second].map((one) => row_weights(explorer, one, at.row, true));
    if (!a || !b) return value.replaceChildren(explorer.waiting_text());
    const [x, y] = [a.weights[at.column], b.weights[at.column]];
    const difference = x - y;
    const sign = difference > 0 ? "+" : "";
    value.replaceChildren(
      element("bdi", {}, explorer.rows(first)[at.row]),
      " → ",
      element("bdi", {}, explorer.columns(first)[at.column]),
      element("b", {}, `${number_text(x)} − ${number_text(y)} = ${sign}${number_text(difference)}`),
    );
    if (planes.some(({ canvas }) => canvas === document.activeElement))
      explorer.tell(value.textContent ?? "");
  }
  return {
    root,
    draw() {
      const [selection, first, theme, tables] = [
        explorer.selection(),
        explorer.head(),
        explorer.theme(),
        explorer.tables(),
      ];
      const second = compared_with(selection, explorer.sources().length, explorer.panel());
      fill(
        source,
        explorer.sources().map((_, i) => explorer.source_name(i)),
        second.source,
      );
      const theirs = explorer.panel(second);
      fill(
        layer,
        Array.from({ length: theirs.layers }, (_, i) => `layer ${i}`),
        second.layer,
      );
      fill(
        head,
        Array.from({ length: theirs.heads }, (_, i) => `head ${i}`),
        second.head,
      );
      const sizes = [first, second].map((one) => ({
        rows: explorer.rows(one).length,
        columns: explorer.columns(one).length,
      }));
      const alike = sizes[0].rows === sizes[1].rows && sizes[0].columns === sizes[1].columns;
      const width = Math.max(
        NARROWEST,
        Math.min(DIFF_WIDEST_PX, (root.clientWidth - 2 * GAP_PX) / 3),
      );
      planes[2].root.hidden = !alike;
      planes.forEach((plane, i) => {
        const shown = i === 1 ? second : first;
        const [rows, columns, size] = [explorer.rows(shown), explorer.columns(shown), sizes[i % 2]];
        const layout = (plane.layout = {
          ...plane_area(plane.canvas, rows, columns, theme, width, DIFF_HIGHEST_PX),
          size,
        });
        const viewport = bounded(state.viewport ?? layout.fit, size, layout.area, layout.fit.cell);
        const pieces =
          i < 2
            ? explorer.painter.pieces(shown, tables, viewport, layout.area)
            : alike
              ? explorer.painter.differences([first, second], tables, viewport, layout.area)
              : [];
        plane.name.textContent = i < 2 ? title(shown) : "difference";
        plane.canvas.setAttribute(
          "aria-label",
          i < 2 ? title(shown) : `${title(first)} minus ${title(second)}`,
        );
        plane.canvas.dataset.pieces = String(pieces.length);
        draw_plane(plane.canvas, {
          rows,
          columns,
          area: layout.area,
          viewport,
          pieces,
          theme,
          at: state.at,
          marked: state.draft ?? selected_block(selection),
          kept: null,
          dim_from: null,
        });
      });
      describe([first, second], alike);
    },
    focus: () => planes[0].canvas.focus(),
    about: () => "",
  };
}
