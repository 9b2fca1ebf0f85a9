import { bytes_of, colour_ramp, element, fitted, floats_of, number_text, on_theme_or_size, once_a_frame, theme_at } from "./common.js";

/**
 * @typedef {{
 *   title: string,
 *   panels: Panel[],
 *   atlases: DataView[],
 *   selection: Selection,
 *   head_key: [string, number, number],
 *   head_map: DataView,
 *   has_rows: boolean,
 * }} Traits
 * @typedef {{ kind: string, layers: number, heads: number, rows: string[], columns: string[], thumb_height: number, thumb_width: number }} Panel
 * @typedef {{ kind: string, layer: number, head: number }} Selection
 * @typedef {{ left: number, top: number, cell: number, rows: number, columns: number }} Layout
 * @typedef {{ row: number, column: number }} Cell
 */

const LONGEST_LABEL = 12;
const LABEL_EVERY_PX = 11;
const KEPT_HEADS = 64;
const KIND = { encoder: "Encoder", decoder: "Decoder", cross: "Cross", self: "Self" };
const LOOKS = { encoder: "source token looks at source token", decoder: "target token looks at target token", cross: "target token looks at source token", self: "token looks at token" };

/** @param {string} token */
export const short_token = (token) => ([...token].length <= LONGEST_LABEL ? token : `${[...token].slice(0, LONGEST_LABEL - 1).join("")}…`);

/** The weight that a square-root companded byte stands for. @param {number} level */
export const weight_of = (level) => (level / 255) ** 2;

/** @param {Selection | [string, number, number]} head */
export const key_of = (head) => (Array.isArray(head) ? head : [head.kind, head.layer, head.head]).join("/");

/**
 * Where the cells of the enlarged head lie, in CSS pixels, when the labels need so much room.
 * @param {number} rows @param {number} columns @param {number} width available @param {number} left @param {number} top
 * @returns {Layout}
 */
export function layout_of(rows, columns, width, left, top) {
  const room = Math.max(120, width - left - 8);
  const cell = Math.min(26, room / columns, Math.max(520 / rows, room / columns / 3));
  return { left, top, cell: cell >= 4 ? Math.floor(cell) : cell, rows, columns };
}

/**
 * The cell under a point, or null beside the cells.
 * @param {Layout} layout @param {number} x @param {number} y
 * @returns {Cell | null}
 */
export function cell_at({ left, top, cell, rows, columns }, x, y) {
  const [row, column] = [Math.floor((y - top) / cell), Math.floor((x - left) / cell)];
  return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
}

/**
 * The `count` largest of `weights` with their places, largest first.
 * @param {ArrayLike<number>} weights @param {number} count
 * @returns {{ column: number, weight: number }[]}
 */
export function strongest(weights, count) {
  const all = Array.from(weights, (weight, column) => ({ weight, column }));
  return all.sort((a, b) => b.weight - a.weight || a.column - b.column).slice(0, count);
}

/**
 * Where the selection goes with a key, staying inside the grid; null for a key that moves nothing.
 * @param {string} pressed @param {Selection} at @param {Panel} panel
 * @returns {Selection | null}
 */
export function moved(pressed, at, panel) {
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -panel.heads], End: [0, panel.heads] };
  const step = steps[pressed];
  if (!step) return null;
  const inside = (/** @type {number} */ value, /** @type {number} */ count) => Math.min(count - 1, Math.max(0, value));
  return { kind: at.kind, layer: inside(at.layer + step[0], panel.layers), head: inside(at.head + step[1], panel.heads) };
}

/**
 * Bytes as a picture of their own size, one pixel a cell.
 * @param {Uint8Array} levels @param {number} width @param {number} height @param {Uint32Array} colours
 */
function picture_of(levels, width, height, colours) {
  const canvas = element("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours[levels[i] ?? 0];
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * All heads of a panel on one canvas under a grid of buttons, one a head.
 * @param {(head: Selection) => void} choose @param {(head: Selection) => void} prepare
 */
function head_grid(choose, prepare) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const cells = element("div", { class: "llm-cells", role: "grid", "aria-label": "attention heads" });
  const across = element("div", { class: "llm-across" });
  const down = element("div", { class: "llm-down" });
  const root = element("div", { class: "llm-heads" }, across, down, element("div", { class: "llm-stack" }, canvas, cells));
  /** @type {Panel | null} */
  let shown = null;
  let pitch = 0;

  function build(/** @type {Panel} */ panel) {
    shown = panel;
    pitch = Math.max(18, Math.min(64, Math.floor(400 / Math.max(panel.heads, panel.layers * 0.8))));
    root.style.setProperty("--llm-pitch", `${pitch}px`);
    const stride = pitch < 24 ? 2 : 1;
    across.replaceChildren(...Array.from({ length: panel.heads }, (_, i) => element("span", {}, i % stride ? "" : String(i))));
    down.replaceChildren(...Array.from({ length: panel.layers }, (_, i) => element("span", {}, String(i))));
    cells.setAttribute("aria-rowcount", String(panel.layers));
    cells.setAttribute("aria-colcount", String(panel.heads));
    cells.replaceChildren(
      ...Array.from({ length: panel.layers }, (_, layer) =>
        element("div", { role: "row" }, ...Array.from({ length: panel.heads }, (_, head) => button({ kind: panel.kind, layer, head }))),
      ),
    );
  }
  function button(/** @type {Selection} */ head) {
    const name = `layer ${head.layer} head ${head.head}`;
    const made = element("button", { type: "button", role: "gridcell", tabindex: -1, "aria-label": name, title: name, "data-key": key_of(head) });
    let timer = 0;
    made.onclick = () => choose(head);
    made.onpointerenter = () => (timer = window.setTimeout(() => prepare(head), 120));
    made.onpointerleave = () => window.clearTimeout(timer);
    return made;
  }
  cells.onkeydown = (event) => {
    const key = /** @type {HTMLElement} */ (event.target).dataset.key;
    if (!key || !shown) return;
    const [kind, layer, head] = key.split("/");
    const to = moved(event.key, { kind, layer: Number(layer), head: Number(head) }, shown);
    if (!to) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
    const made = /** @type {HTMLElement | null} */ (cells.querySelector(`[data-key="${key_of(to)}"]`));
    made?.focus();
    choose(to);
  };
  return {
    root,
    /** @param {Panel} panel @param {Uint8Array} atlas @param {Selection} selection @param {Uint32Array} colours */
    draw(panel, atlas, selection, colours) {
      if (panel !== shown) build(panel);
      const [width, height, size] = [panel.thumb_width, panel.thumb_height, pitch - 4];
      const context = fitted(canvas, panel.heads * pitch, panel.layers * pitch);
      const side = Math.max(width, height);
      context.imageSmoothingEnabled = size < side;
      context.imageSmoothingQuality = "high";
      for (let i = 0; i < panel.layers * panel.heads; i++) {
        const thumb = picture_of(atlas.subarray(i * width * height, (i + 1) * width * height), width, height, colours);
        const [x, y] = [(i % panel.heads) * pitch + 2, Math.floor(i / panel.heads) * pitch + 2];
        context.drawImage(thumb, x, y, size, size);
      }
      const chosen = key_of(selection);
      for (const made of /** @type {NodeListOf<HTMLElement>} */ (cells.querySelectorAll("button"))) {
        const is_chosen = made.dataset.key === chosen;
        made.tabIndex = is_chosen ? 0 : -1;
        made.setAttribute("aria-selected", String(is_chosen));
      }
    },
  };
}

/**
 * The enlarged head: cells, tokens on both axes, and the row and column under the pointer brought out.
 * @param {HTMLCanvasElement} canvas @param {HTMLCanvasElement} cells picture of the head, one pixel a cell
 * @param {Panel} panel @param {Cell | null} at
 * @returns {Layout}
 */
function draw_head(canvas, cells, panel, at) {
  const theme = theme_at(canvas);
  const width = Math.max(220, Math.min(720, canvas.parentElement?.clientWidth ?? 560));
  const measure = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  measure.font = `11.5px ${theme.font}`;
  const longest = (/** @type {string[]} */ tokens) => Math.max(...tokens.map((token) => measure.measureText(short_token(token)).width)) + 14;
  const layout = layout_of(panel.rows.length, panel.columns.length, width, longest(panel.rows), longest(panel.columns));
  const { left, top, cell, rows, columns } = layout;
  const context = fitted(canvas, Math.ceil(left + cell * columns) + 8, Math.ceil(top + cell * rows) + 2);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, left, top, cell * columns, cell * rows);
  context.strokeStyle = theme.line;
  context.strokeRect(left - 0.5, top - 0.5, cell * columns + 1, cell * rows + 1);
  context.textBaseline = "middle";
  const label = (/** @type {string} */ token, /** @type {number} */ i, /** @type {number | undefined} */ here, /** @type {boolean} */ turned) => {
    context.save();
    context.fillStyle = i === here ? theme.ink : theme.muted;
    context.font = `${i === here ? "600 " : ""}11.5px ${theme.font}`;
    if (turned) {
      context.translate(left + (i + 0.5) * cell, top - 7);
      context.rotate(-Math.PI / 2);
    } else {
      context.translate(left - 7, top + (i + 0.5) * cell);
      context.textAlign = "right";
    }
    context.fillText(short_token(token), 0, 0);
    context.restore();
  };
  for (const i of labelled(rows, cell, at?.row)) label(panel.rows[i], i, at?.row, false);
  for (const i of labelled(columns, cell, at?.column)) label(panel.columns[i], i, at?.column, true);
  if (at) draw_pointed(context, layout, at, theme.accent);
  return layout;
}

/**
 * A frame around the cell pointed at and its row; where cells are too small for frames, two faint rules that cross.
 * @param {CanvasRenderingContext2D} context @param {Layout} layout @param {Cell} at @param {string} colour
 */
function draw_pointed(context, { left, top, cell, rows, columns }, at, colour) {
  const [x, y] = [left + at.column * cell, top + at.row * cell];
  context.strokeStyle = context.fillStyle = colour;
  if (cell < 5) {
    const [middle_x, middle_y] = [x + cell / 2, y + cell / 2];
    context.globalAlpha = 0.35;
    context.fillRect(left, middle_y - 0.5, cell * columns, 1);
    context.fillRect(middle_x - 0.5, top, 1, cell * rows);
    context.globalAlpha = 1;
    context.strokeRect(middle_x - 4, middle_y - 4, 8, 8);
    return;
  }
  context.lineWidth = 1.5;
  context.strokeRect(x, y, cell, cell);
  context.lineWidth = 1;
  context.globalAlpha = 0.55;
  context.strokeRect(left - 0.5, y, cell * columns + 1, cell);
  context.globalAlpha = 1;
}

/**
 * Which of `count` labels to write so that none touches another; the one at `here` always, in place of its neighbours.
 * @param {number} count @param {number} cell px @param {number} [here]
 * @returns {number[]}
 */
export function labelled(count, cell, here) {
  const stride = Math.max(1, Math.ceil(LABEL_EVERY_PX / cell));
  const kept = [];
  for (let i = 0; i < count; i += stride) if (here === undefined || i === here || Math.abs(i - here) * cell >= LABEL_EVERY_PX) kept.push(i);
  if (here !== undefined && here % stride) kept.push(here);
  return kept;
}

/**
 * Keeps the heads and exact rows that have arrived and asks Python for others, each once.
 * @param {import("./common.js").Model<Traits>} model
 */
function store_of(model) {
  /** @type {Map<string, Uint8Array>} */
  const heads = new Map();
  /** @type {Map<string, Float32Array>} */
  const rows = new Map();
  /** @type {Set<string>} */
  const asked = new Set();
  const keep = (/** @type {[string, number, number]} */ key, /** @type {DataView} */ buffer) => {
    const levels = bytes_of(buffer);
    if (levels.length) heads.set(key_of(key), levels);
    if (heads.size > KEPT_HEADS) heads.delete(heads.keys().next().value ?? "");
  };
  return {
    heads,
    rows,
    keep_trait: () => keep(model.get("head_key"), model.get("head_map")),
    ask_head(/** @type {Selection} */ { kind, layer, head }) {
      const key = key_of([kind, layer, head]);
      if (heads.has(key) || asked.has(key)) return;
      asked.add(key);
      model.send({ want: [kind, layer, head] });
    },
    ask_row(/** @type {Selection} */ { kind, layer, head }, /** @type {number} */ row) {
      const key = `${key_of([kind, layer, head])}/${row}`;
      if (!model.get("has_rows") || rows.has(key) || asked.has(key)) return;
      asked.add(key);
      model.send({ want_row: [kind, layer, head, row] });
    },
    /** Takes in an answer; returns the text of an error, if that is what came. */
    receive(/** @type {any} */ message, /** @type {DataView[]} */ buffers) {
      if (typeof message?.error === "string") {
        asked.clear(); // so that pointing again asks again
        return message.error;
      }
      if (Array.isArray(message?.head) && buffers?.length) {
        asked.delete(key_of(message.head));
        keep(message.head, buffers[0]);
      } else if (Array.isArray(message?.row) && buffers?.length) {
        if (rows.size > 4096) rows.clear();
        asked.delete(message.row.join("/"));
        rows.set(message.row.join("/"), floats_of(buffers[0]));
      }
      return "";
    },
  };
}

/** @param {{ model: import("./common.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const store = store_of(model);
  const title = element("div", { class: "llm-title", dir: "auto" });
  const tabs = element("div", { class: "llm-tabs", role: "tablist", "aria-label": "kind of attention" });
  const name = element("div", { class: "llm-name" });
  const canvas = element("canvas", { class: "llm-map", tabindex: 0, role: "img" });
  const value = element("div", { class: "llm-value" });
  const row_line = element("div", { class: "llm-row" });
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  const scale = element("canvas", { class: "llm-scale", "aria-hidden": "true" });
  const marks = element("div", { class: "llm-marks" }, ...[0, 0.1, 0.5, 1].map((weight) => {
    const mark = element("span", {}, String(weight));
    mark.style.left = `${100 * Math.sqrt(weight)}%`;
    return mark;
  }));
  const grid = head_grid(choose, (head) => store.ask_head(head));
  const side = element("div", { class: "llm-side" }, element("div", { class: "llm-axis" }, "head →  layer ↓"), grid.root, element("div", { class: "llm-legend" }, scale, marks));
  const main = element("div", { class: "llm-main" }, name, element("div", { class: "llm-plot" }, canvas), value, row_line);
  const root = element("div", { class: "llm-attention-map" }, title, tabs, element("div", { class: "llm-columns" }, side, main), spoken);
  el.append(root);

  /** @type {Cell | null} */
  let at = null;
  /** @type {Layout | null} */
  let layout = null;
  /** @type {{ colours: Uint32Array, levels: Uint8Array, picture: HTMLCanvasElement } | null} */
  let painted = null;
  /** @type {{ background: string, colours: Uint32Array } | null} */
  let ramp = null;
  let failure = "";

  const panel_of = (/** @type {string} */ kind) => model.get("panels").findIndex((panel) => panel.kind === kind);
  const panel = () => model.get("panels")[Math.max(0, panel_of(model.get("selection").kind))];
  function choose(/** @type {Selection} */ head) {
    if (key_of(head) === key_of(model.get("selection"))) return;
    model.set("selection", head);
    model.save_changes();
    spoken.textContent = `${head.kind} attention, layer ${head.layer}, head ${head.head}`;
  }
  function colours() {
    const background = theme_at(root).background;
    if (ramp?.background !== String(background)) ramp = { background: String(background), colours: colour_ramp(background) };
    return ramp.colours;
  }
  /** The picture of the chosen head, or of its thumbnail until it has come. */
  function picture() {
    const [selection, shown, table] = [model.get("selection"), panel(), colours()];
    const levels = store.heads.get(key_of(selection));
    if (levels && levels.length === shown.rows.length * shown.columns.length) {
      if (painted?.levels !== levels || painted.colours !== table)
        painted = { colours: table, levels, picture: picture_of(levels, shown.columns.length, shown.rows.length, table) };
      return painted.picture;
    }
    const size = shown.thumb_width * shown.thumb_height;
    const start = (selection.layer * shown.heads + selection.head) * size;
    return picture_of(atlas().subarray(start, start + size), shown.thumb_width, shown.thumb_height, table);
  }
  const atlas = () => bytes_of(model.get("atlases")[Math.max(0, panel_of(model.get("selection").kind))]);

  const draw = once_a_frame(() => {
    if (!canvas.isConnected) return;
    const selection = model.get("selection");
    layout = draw_head(canvas, picture(), panel(), at);
    canvas.dataset.head = store.heads.has(key_of(selection)) ? key_of(selection) : "";
    describe();
  });
  const draw_all = once_a_frame(() => {
    if (!root.isConnected) return;
    const [selection, shown] = [model.get("selection"), panel()];
    title.textContent = model.get("title");
    draw_tabs(selection.kind);
    grid.draw(shown, atlas(), selection, colours());
    const context = fitted(scale, 160, 6);
    context.drawImage(picture_of(Uint8Array.from({ length: 256 }, (_, i) => i), 256, 1, colours()), 0, 0, 160, 6);
    const looks = LOOKS[/** @type {keyof LOOKS} */ (shown.kind)] ?? "token looks at token";
    name.replaceChildren(element("b", {}, `layer ${selection.layer} · head ${selection.head}`), element("span", {}, `row: ${looks.split(" looks at ")[0]} · column: the ${looks.split(" looks at ")[1]} it looks at`));
    draw();
  });
  function draw_tabs(/** @type {string} */ kind) {
    const panels = model.get("panels");
    tabs.hidden = panels.length < 2;
    tabs.replaceChildren(...panels.map((one) => {
      const chosen = one.kind === kind;
      const tab = element("button", { type: "button", role: "tab", "aria-selected": String(chosen), tabindex: chosen ? 0 : -1, "data-kind": one.kind }, KIND[/** @type {keyof KIND} */ (one.kind)] ?? one.kind);
      tab.onclick = () => to_kind(one);
      return tab;
    }));
  }
  function to_kind(/** @type {Panel} */ one) {
    const { layer, head } = model.get("selection");
    choose({ kind: one.kind, layer: Math.min(layer, one.layers - 1), head: Math.min(head, one.heads - 1) });
  }
  tabs.onkeydown = (event) => {
    const panels = model.get("panels");
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    to_kind(panels[(panel_of(model.get("selection").kind) + step + panels.length) % panels.length]);
    requestAnimationFrame(() => /** @type {HTMLElement | null} */ (tabs.querySelector('[aria-selected="true"]'))?.focus());
  };
  /** The weight under the pointer and what its row looks at most, in words. */
  function describe() {
    const [selection, shown] = [model.get("selection"), panel()];
    canvas.setAttribute("aria-label", `${selection.kind} attention, layer ${selection.layer}, head ${selection.head}, ${shown.rows.length} by ${shown.columns.length} tokens`);
    root.classList.toggle("llm-failed", Boolean(failure));
    if (failure || !at) {
      value.textContent = failure || "Point at a cell, or move with the arrow keys.";
      row_line.textContent = "";
      return;
    }
    const levels = store.heads.get(key_of(selection));
    const exact = store.rows.get(`${key_of(selection)}/${at.row}`);
    const start = at.row * shown.columns.length;
    const weights = exact ?? (levels ? Float32Array.from(levels.subarray(start, start + shown.columns.length), weight_of) : null);
    const token = (/** @type {string} */ text) => element("bdi", {}, text);
    if (!weights) return value.replaceChildren("waiting for the kernel…");
    const number = element("b", {}, exact ? exact[at.column].toFixed(4) : `≈ ${number_text(weights[at.column], 2)}`);
    value.replaceChildren(token(shown.rows[at.row]), " → ", token(shown.columns[at.column]), number);
    row_line.replaceChildren("most: ", ...strongest(weights, 4).filter(({ weight }) => weight >= 0.005).flatMap(({ column, weight }, i) => [i ? ", " : "", token(shown.columns[column]), ` ${weight.toFixed(2)}`]));
  }
  let timer = 0;
  function point_at(/** @type {Cell | null} */ cell) {
    if (cell?.row === at?.row && cell?.column === at?.column) return;
    at = cell;
    window.clearTimeout(timer);
    const selection = model.get("selection");
    if (cell) timer = window.setTimeout(() => store.ask_row(selection, cell.row), 60);
    draw();
  }
  canvas.onpointermove = (event) => layout && point_at(cell_at(layout, event.offsetX, event.offsetY));
  canvas.onpointerleave = canvas.onblur = () => point_at(null);
  canvas.onkeydown = (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[/** @type {keyof steps} */ (event.key)];
    if (event.key === "Escape") canvas.blur();
    if (!step || !layout) return;
    event.preventDefault();
    event.stopPropagation();
    const inside = (/** @type {number} */ place, /** @type {number} */ count) => Math.min(count - 1, Math.max(0, place));
    point_at(at ? { row: inside(at.row + step[0], layout.rows), column: inside(at.column + step[1], layout.columns) } : { row: 0, column: 0 });
    requestAnimationFrame(() => (spoken.textContent = value.textContent ?? ""));
  };

  const selected = () => {
    at = null;
    failure = "";
    draw_all();
  };
  const head_came = () => {
    store.keep_trait();
    draw();
  };
  const received = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
    failure = store.receive(message, buffers);
    draw();
  };
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [["change:selection", selected], ["change:head_map", head_came], ["change:head_key", head_came], ["change:title", draw_all], ["msg:custom", received]];
  for (const [event, callback] of listeners) model.on(event, callback);
  const unwatch = on_theme_or_size(root, draw_all);
  store.keep_trait();
  draw_all();
  return () => {
    unwatch();
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}

export default { render };
