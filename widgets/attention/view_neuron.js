import { fitted } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { diverging_level } from "./colours.js";
import { clamped, direction_of, short_token, strongest } from "./state.js";
import { row_weights } from "./view_map.js";

// How one weight comes about: query × key, summed, scaled, and its share among all keys.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./requests.js").Neuron} Neuron
 */

const NEURON_HINT =
  "Click a bar for another key, ↑ ↓ for another query. Blue is positive, orange negative.";
const STRIP_PX = 22;
const BARS_PX = 110;
const LABELS_PX = 84;
const NEURON_WIDEST_PX = 720;
const MOST_LABELLED = 64;

/**
 * Numbers as places on the diverging ramp, the largest size at its end.
 * @param {number[]} values
 */
export function strip_levels(values) {
  const largest = values.reduce((size, value) => Math.max(size, Math.abs(value)), 0) || 1;
  return values.map((value) => diverging_level(Number.isFinite(value) ? value / largest : 0));
}

/**
 * The pair looked at: the selected tokens, otherwise the last row and what it looks at most.
 * @param {{ rows: number[], columns: number[] }} selection
 * @param {ArrayLike<number> | null} weights of that row
 * @param {number} rows
 */
export function pair_of(selection, weights, rows) {
  const row = selection.rows[0] ?? rows - 1;
  return { row, column: selection.columns[0] ?? (weights ? strongest(weights, 1)[0].place : 0) };
}

/** @param {Explorer} explorer */
export function neuron_view(explorer) {
  const strips = ["query", "key", "query × key"].map((name) => {
    const label = element("div", { class: "llm-strip-name", dir: "auto" });
    const canvas = element("canvas", { class: "llm-strip", role: "img", "aria-label": name });
    return { name, label, canvas, root: element("div", { class: "llm-strip-row" }, label, canvas) };
  });
  const sum = element("div", { class: "llm-sum" });
  const bars = element("canvas", {
    class: "llm-bars",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "weights of all keys",
  });
  const value = element("div", { class: "llm-value" });
  const root = element(
    "div",
    { class: "llm-view-neuron" },
    ...strips.map((strip) => strip.root),
    sum,
    bars,
    value,
  );

  const row = () => explorer.selection().rows[0] ?? explorer.rows().length - 1;
  const weights = () => row_weights(explorer, explorer.head(), row(), true)?.weights ?? null;
  const pair = () => pair_of(explorer.selection(), weights(), explorer.rows().length);
  const bar_width = () => Math.min(NEURON_WIDEST_PX, root.clientWidth || NEURON_WIDEST_PX);

  function draw_strip(/** @type {HTMLCanvasElement} */ canvas, /** @type {number[]} */ numbers) {
    const cell = Math.min(12, (bar_width() - 150) / numbers.length);
    const context = fitted(canvas, Math.ceil(cell * numbers.length), STRIP_PX);
    const ramp = explorer.tables().diverging;
    strip_levels(numbers).forEach((level, i) => {
      const [r, g, b] = [0, 8, 16].map((shift) => (ramp[level + 255] >>> shift) & 255);
      context.fillStyle = `rgb(${r} ${g} ${b})`;
      context.fillRect(i * cell, 0, cell + 0.5, STRIP_PX);
    });
    context.strokeStyle = explorer.theme().line;
    context.strokeRect(0.5, 0.5, cell * numbers.length - 1, STRIP_PX - 1);
  }
  function draw_bars(/** @type {Float32Array} */ all, /** @type {number} */ chosen) {
    const [theme, tokens, width] = [explorer.theme(), explorer.columns(), bar_width()];
    const pitch = Math.min(24, width / all.length);
    const is_labelled = all.length <= MOST_LABELLED;
    const measure = /** @type {CanvasRenderingContext2D} */ (bars.getContext("2d"));
    measure.font = `600 11px ${theme.font}`;
    const room = is_labelled
      ? Math.min(
          LABELS_PX,
          Math.max(...tokens.map((token) => measure.measureText(short_token(token)).width)) + 10,
        )
      : 4;
    const context = fitted(bars, Math.ceil(pitch * all.length), BARS_PX + room);
    const largest = all.reduce((most, weight) => Math.max(most, weight), 1e-9);
    all.forEach((weight, i) => {
      const height = Math.max(0.75, (weight / largest) * (BARS_PX - 18));
      context.fillStyle = i === chosen ? theme.accent : theme.muted;
      context.fillRect(
        i * pitch,
        BARS_PX - height,
        Math.max(1, pitch - (pitch > 3 ? 1 : 0)),
        height,
      );
      if (weight === largest) {
        context.font = `10.5px ${theme.font}`;
        context.textAlign = i * 2 < all.length ? "left" : "right";
        context.fillText(
          number_text(weight),
          (i + (i * 2 < all.length ? 0 : 1)) * pitch,
          BARS_PX - height - 4,
        );
      }
      if (!is_labelled) return;
      context.save();
      context.fillStyle = i === chosen ? theme.ink : theme.muted;
      context.font = `${i === chosen ? "600 " : ""}11px ${theme.font}`;
      context.direction = direction_of(tokens[i]);
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.translate((i + 0.5) * pitch, BARS_PX + 5);
      context.rotate(-Math.PI / 2);
      context.fillText(short_token(tokens[i]), 0, 0, LABELS_PX - 6);
      context.restore();
    });
    context.fillStyle = theme.line;
    context.fillRect(0, BARS_PX, pitch * all.length, 1);
  }
  /** @param {Neuron} neuron @param {{ row: number, column: number }} at */
  function draw_neuron({ query, key, product, dot, score, weight }, { row: r, column }) {
    const token = (/** @type {string} */ text) => element("bdi", {}, short_token(text));
    [query, key, product].forEach((numbers, i) => draw_strip(strips[i].canvas, numbers));
    strips[0].label.replaceChildren("query of ", token(explorer.rows()[r]));
    strips[1].label.replaceChildren("key of ", token(explorer.columns()[column]));
    strips[2].label.textContent = "query × key";
    sum.replaceChildren(
      "sum ",
      element("b", {}, number_text(dot)),
      " → scaled score ",
      element("b", {}, number_text(score)),
      " → softmax over all keys ",
      element("b", {}, number_text(weight)),
    );
    sum.dataset.weight = String(weight);
  }
  const choose = (/** @type {number} */ r, /** @type {number} */ column) =>
    explorer.select({
      rows: [clamped(r, 0, explorer.rows().length - 1)],
      columns: [clamped(column, 0, explorer.columns().length - 1)],
    });
  bars.onclick = (event) =>
    choose(row(), Math.floor((event.offsetX / bars.clientWidth) * explorer.columns().length));
  bars.onkeydown = (event) => {
    const at = pair();
    const step = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
    })[event.key];
    if (step) choose(at.row + step[0], at.column + step[1]);
    else if (event.key === "Escape") explorer.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return {
    root,
    draw() {
      const [all, at] = [weights(), pair()];
      const neuron = all && explorer.requests.neuron(explorer.head(), at.row, at.column);
      for (const strip of strips) strip.root.hidden = !neuron;
      sum.hidden = !neuron;
      if (neuron) draw_neuron(neuron, at);
      if (all) draw_bars(all, at.column);
      const known = all
        ? `${explorer.rows()[at.row]} → ${explorer.columns()[at.column]}: ` +
          number_text(all[at.column])
        : "";
      bars.setAttribute("aria-label", `weights of all ${explorer.columns().length} keys; ${known}`);
      value.replaceChildren(
        ...(neuron
          ? [element("span", { class: "llm-muted" }, NEURON_HINT)]
          : [explorer.waiting_text()]),
      );
      if (document.activeElement === bars && neuron) explorer.tell(known);
    },
    focus: () => bars.focus(),
    about: () => "",
  };
}
