import { fitted, once_a_frame } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { colour_ramp } from "../shared/oklab.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";

// The backward and the forward pass over steps: one row a layer, one colour a value, on a
// logarithmic scale.

/**
 * @typedef {{ steps: number[], values: number[] }} Track
 * @typedef {{
 *   name: string, gradient_norm: Track, activation_std: Track, activation_mean: Track,
 * }} Layer
 * @typedef {{ low: number, high: number }} Range both above 0
 */

const MOST_DECADES = 6;
const FAR = 100;
const NOT_FINITE = 0xff3b2fd6; // little-endian RGBA: a red that neither ramp has
const MAPS = /** @type {const} */ ([
  { group: "gradient_norm", name: "Backward", about: "gradient norm" },
  { group: "activation_std", name: "Forward", about: "standard deviation of activations" },
]);
const FLAGS = { vanishing: "vanishing", exploding: "exploding", broken: "not finite", "": "" };

/**
 * The layers of one run in the order of the model.
 * @param {{ group: string, name: string, steps: number[], values: number[] }[]} series
 * @returns {Layer[]}
 */
export function layers_of(series) {
  /** @type {Map<string, Layer>} */
  const layers = new Map();
  const none = () => ({ steps: [], values: [] });
  for (const { group, name, steps, values } of series) {
    const layer = layers.get(name) ?? {
      name,
      gradient_norm: none(),
      activation_std: none(),
      activation_mean: none(),
    };
    layers.set(name, layer);
    if (group === "gradient_norm" || group === "activation_std" || group === "activation_mean")
      layer[group] = { steps, values };
  }
  return [...layers.values()];
}

/**
 * The range of colours: all values above 0, at least one decade and at most six below the largest.
 * @param {Track[]} tracks
 * @returns {Range}
 */
export function log_range(tracks) {
  let [low, high] = [Infinity, 0];
  for (const { values } of tracks)
    for (const value of values)
      if (value > 0 && value < Infinity)
        [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (!high) return { low: 0.1, high: 1 };
  low = Math.max(low, high / 10 ** MOST_DECADES);
  const widen = high / low < 10 ? Math.sqrt(10 / (high / low)) : 1;
  return { low: low / widen, high: high * widen };
}

/**
 * Place of a value in its range, 0…255; -1 for what is not finite.
 * @param {number} value
 * @param {Range} range
 */
export function log_level(value, { low, high }) {
  if (!Number.isFinite(value)) return -1;
  if (value <= low) return 0;
  return Math.min(255, Math.round((255 * Math.log(value / low)) / Math.log(high / low)));
}

/**
 * What is wrong with a layer's gradient beside those of the others: a factor of a hundred from
 * their median.
 * @param {number[]} norms the latest of each layer
 * @returns {("" | "vanishing" | "exploding" | "broken")[]}
 */
export function flags_of(norms) {
  const known = norms.filter((norm) => norm > 0 && norm < Infinity).sort((a, b) => a - b);
  const median = known[known.length >> 1] ?? 0;
  return norms.map((norm) => {
    if (norm === undefined) return "";
    if (!Number.isFinite(norm)) return "broken";
    if (!median) return "";
    return norm < median / FAR ? "vanishing" : norm > median * FAR ? "exploding" : "";
  });
}

/** "encoder.layers.0" as people say it: "encoder 0". @param {string} name */
export const layer_label = (name) =>
  name.replace(/\.(layers?|blocks?|h)\.(?=\d)/g, " ").replace(/[_.]/g, " ");

/**
 * Position in ascending `steps` of the last one that is not after `step`; 0 before the first.
 * @param {number[]} steps @param {number} step
 */
export function last_until(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * The step of a pixel column.
 * @param {number} x
 * @param {number} width
 * @param {[number, number]} range
 */
export const step_at = (x, width, [first, last]) => first + ((x + 0.5) / width) * (last - first);

/**
 * First and last step of all layers, the last one given a column of its own.
 * @param {Layer[]} layers
 * @returns {[number, number]}
 */
export function step_range(layers) {
  const steps = layers.reduce(
    (best, { gradient_norm }) =>
      gradient_norm.steps.length > best.length ? gradient_norm.steps : best,
    /** @type {number[]} */ ([]),
  );
  if (!steps.length) return [0, 1];
  const [first, last] = [steps[0], steps[steps.length - 1]];
  return [first, steps.length > 1 ? last + (last - first) / (steps.length - 1) : first + 1];
}

/**
 * Both maps with labels, legends and a readout.
 * @param {{ told: (text: string) => void }} about
 */
export function layer_maps({ told }) {
  const readout = element("div", { class: "llm-readout" });
  const boards = MAPS.map(({ group, name, about }) => board(group, name, about));
  const root = element(
    "div",
    { class: "llm-layers" },
    element("div", { class: "llm-boards" }, ...boards.map((one) => one.root)),
    readout,
  );
  /** @type {Layer[]} */
  let layers = [];
  /** @type {{ row: number, step: number } | null} */
  let cursor = null;

  /**
   * @param {"gradient_norm" | "activation_std"} group
   * @param {string} name
   * @param {string} about
   */
  function board(group, name, about) {
    const labels = element("div", { class: "llm-rows", "aria-hidden": "true" });
    const canvas = element("canvas", { class: "llm-layer-map", tabindex: 0, role: "img" });
    const numbers = element("div", { class: "llm-rows llm-last", "aria-hidden": "true" });
    const bar = element("canvas", { class: "llm-ramp", "aria-hidden": "true" });
    const [low, high] = [element("span", {}), element("span", {})];
    const legend = element("div", { class: "llm-legend" }, low, bar, high);
    const title = element("div", { class: "llm-board-name" }, element("b", {}, name), ` ${about}`);
    const grid = element(
      "div",
      { class: "llm-board-grid" },
      labels,
      element("div", { class: "llm-cell" }, canvas),
      numbers,
    );
    const root = element(
      "figure",
      { class: "llm-board" },
      element("figcaption", {}, title, legend),
      grid,
    );
    canvas.onpointermove = (event) => {
      const range = step_range(layers);
      const row = Math.floor(event.offsetY / pitch_px(layers.length));
      point_at(
        layers[row] ? { row, step: step_at(event.offsetX - 0.5, canvas.clientWidth, range) } : null,
      );
    };
    canvas.onpointerleave = canvas.onblur = () => point_at(null);
    canvas.onkeydown = (event) => key(event, group);
    return { root, group, about, labels, canvas, numbers, bar, low, high };
  }
  function key(
    /** @type {KeyboardEvent} */ event,
    /** @type {"gradient_norm" | "activation_std"} */ group,
  ) {
    /** @type {Record<string, [number, number]>} */
    const moves = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      Home: [0, -1e9],
      End: [0, 1e9],
    };
    const move = moves[event.key];
    if (!move || !layers.length) return;
    event.preventDefault();
    event.stopPropagation();
    const row = Math.min(
      layers.length - 1,
      Math.max(0, (cursor?.row ?? 0) + (cursor ? move[0] : 0)),
    );
    const { steps } = layers[row][group].steps.length
      ? layers[row][group]
      : layers[row].gradient_norm;
    const at = cursor ? last_until(steps, cursor.step) + move[1] : steps.length - 1;
    point_at({ row, step: steps[Math.min(steps.length - 1, Math.max(0, at))] ?? 0 });
    told(readout.textContent ?? "");
  }
  function point_at(/** @type {typeof cursor} */ place) {
    cursor = place;
    readout.replaceChildren(...(cursor ? readout_of(layers[cursor.row], cursor.step) : [hint()]));
    draw();
  }
  const draw = once_a_frame(() => {
    const theme = theme_at(root);
    const colours = colour_ramp(theme.background);
    const flags = flags_of(
      layers.map(({ gradient_norm: { values } }) => values[values.length - 1]),
    );
    for (const one of boards)
      draw_board(one, layers, colours, one.group === "gradient_norm" ? flags : [], cursor);
  });
  function update(/** @type {Layer[]} */ news) {
    layers = news;
    if (cursor && !layers[cursor.row]) cursor = null;
    if (!cursor) readout.replaceChildren(hint());
    draw();
  }
  const hint = () =>
    element(
      "span",
      { class: "llm-muted" },
      "steps from left to right; the number is the latest. Point at a cell to read it.",
    );
  const unwatch = on_theme_or_size(root, draw);
  return { root, update, unwatch };
}

/** Height of a row, smaller where there are many. @param {number} count */
const pitch_px = (count) => (count > 60 ? 8 : count > 30 ? 13 : 19);

/**
 * @param {{
 *   group: "gradient_norm" | "activation_std", about: string, labels: HTMLElement,
 *   canvas: HTMLCanvasElement, numbers: HTMLElement, bar: HTMLCanvasElement, low: HTMLElement,
 *   high: HTMLElement,
 * }} board
 * @param {Layer[]} layers
 * @param {Uint32Array} colours
 * @param {ReturnType<typeof flags_of>} flags
 * @param {{ row: number, step: number } | null} cursor
 */
function draw_board(board, layers, colours, flags, cursor) {
  const pitch = pitch_px(layers.length);
  const width = (board.canvas.parentElement?.clientWidth ?? 0) || 0;
  if (!board.canvas.isConnected || width < 10) return;
  const tracks = layers.map((layer) => layer[board.group]);
  const range = log_range(tracks);
  const steps = step_range(layers);
  rows_of(
    board.labels,
    layers.map(({ name }) => [layer_label(name), name, ""]),
    pitch,
  );
  rows_of(
    board.numbers,
    tracks.map(({ values }, i) => [
      values.length ? number_text(values[values.length - 1], 2) : "–",
      FLAGS[flags[i] ?? ""],
      flags[i] ?? "",
    ]),
    pitch,
  );
  const context = fitted(board.canvas, width, pitch * layers.length);
  const density = window.devicePixelRatio || 1;
  tracks.forEach((track, row) => {
    if (!track.steps.length) return;
    const strip = strip_of(track, range, steps, Math.round(width * density), colours);
    context.imageSmoothingEnabled = false;
    context.drawImage(strip, 0, row * pitch, width, pitch - 1);
  });
  if (cursor) {
    context.strokeStyle = theme_at(board.canvas).ink;
    context.strokeRect(0.5, cursor.row * pitch + 0.5, width - 1, pitch - 2);
    const x = ((cursor.step - steps[0]) / (steps[1] - steps[0])) * width;
    context.fillStyle = theme_at(board.canvas).ink;
    context.fillRect(Math.round(x), 0, 1, pitch * layers.length);
  }
  draw_ramp(board.bar, colours);
  [board.low.textContent, board.high.textContent] = [
    number_text(range.low, 2),
    number_text(range.high, 2),
  ];
  board.canvas.setAttribute(
    "aria-label",
    `${board.about} of ${layers.length} layers over steps; arrow keys read it`,
  );
  board.canvas.dataset.layers = String(layers.length);
}

/**
 * One row of pixels.
 * @param {Track} track
 * @param {Range} range
 * @param {[number, number]} steps
 * @param {number} width
 * @param {Uint32Array} colours
 */
function strip_of(track, range, steps, width, colours) {
  const canvas = element("canvas", { width, height: 1 });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, 1);
  const pixels = new Uint32Array(image.data.buffer);
  for (let x = 0; x < width; x++) {
    const level = log_level(track.values[last_until(track.steps, step_at(x, width, steps))], range);
    pixels[x] = level < 0 ? NOT_FINITE : colours[level];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** @param {HTMLCanvasElement} canvas @param {Uint32Array} colours */
export function draw_ramp(canvas, colours) {
  [canvas.width, canvas.height] = [256, 1];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(colours);
  context.putImageData(image, 0, 0);
}

/**
 * Fills a column of rows, touching only what changed.
 * @param {HTMLElement} column
 * @param {[string, string, string][]} texts text, title, flag
 * @param {number} pitch
 */
function rows_of(column, texts, pitch) {
  while (column.children.length > texts.length) column.lastElementChild?.remove();
  while (column.children.length < texts.length) column.append(element("div", {}));
  texts.forEach(([text, title, flag], i) => {
    const row = /** @type {HTMLElement} */ (column.children[i]);
    row.style.height = `${pitch}px`;
    const shown = pitch < 12 && i % 2 ? "" : flag ? `${text} ${title}` : text;
    if (row.textContent !== shown) row.textContent = shown;
    if (row.title !== title) row.title = title;
    row.dataset.flag = flag;
  });
}

/** @param {Layer} layer @param {number} step @returns {(Node | string)[]} */
function readout_of(layer, step) {
  const value = (/** @type {Track} */ { steps, values }) =>
    values.length ? number_text(values[last_until(steps, step)], 3) : "–";
  const { steps } = layer.gradient_norm.steps.length ? layer.gradient_norm : layer.activation_std;
  const at = steps[last_until(steps, step)] ?? 0;
  const parts = [
    ` step ${at.toLocaleString("en-US")}`,
    `gradient norm ${value(layer.gradient_norm)}`,
    `activations ${value(layer.activation_mean)} ± ${value(layer.activation_std)}`,
  ];
  return [element("b", {}, layer.name), parts.join(" · ")];
}
