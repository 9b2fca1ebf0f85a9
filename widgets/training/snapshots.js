import { fitted, once_a_frame } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { bytes_of, number_text } from "../shared/numbers.js";
import { colour_ramp } from "../shared/oklab.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";
import { draw_ramp } from "./layer_maps.js";

// States of the model that are kept a step each, samples and attention, and the slider that goes
// through them.

/**
 * @typedef {{ kind: "samples", run: string, step: number, rows: string[][] }} Samples
 * @typedef {{
 *   kind: "attention", run: string, step: number, about: string, rows: string[],
 *   columns: string[], layers: number, heads: number, maps: DataView,
 * }} Attention
 * @typedef {Samples | Attention} Snapshot
 * @typedef {{ text: string, changed: boolean }} Word
 */

const MOST_SNAPSHOTS = 200;
const MOST_MAP_BYTES = 8_000_000;
const PLAY_EVERY_MS = 350;
const LONGEST_TOKEN = 14;
const KIND_TEXT = {
  cross: "target token (row) looks at source token (column)",
  self: "token (row) looks at token (column)",
};

/**
 * `held` with `one` behind it and within bounds, in the same way as in Python; what a resumed run
 * takes again is replaced.
 * @param {Snapshot[]} held @param {Snapshot} one
 * @returns {Snapshot[]}
 */
export function with_snapshot(held, one) {
  const alike = (/** @type {Snapshot} */ other) => other.kind === one.kind && other.run === one.run;
  const all = [...held.filter((old) => !(alike(old) && old.step >= one.step)), one];
  const kept = all.filter(alike);
  const bytes = (/** @type {Snapshot} */ other) =>
    "maps" in other ? bytes_of(other.maps).byteLength : 0;
  let size = kept.reduce((sum, other) => sum + bytes(other), 0);
  while (kept.length > 2 && (kept.length > MOST_SNAPSHOTS || size > MOST_MAP_BYTES)) {
    const [gone] = kept.splice(closest(kept), 1);
    size -= bytes(gone);
  }
  const left = new Set(kept);
  return all.filter((other) => !alike(other) || left.has(other));
}

/**
 * The one, neither first nor last, whose neighbours lie closest together.
 * @param {Snapshot[]} snapshots
 */
function closest(snapshots) {
  let best = 1;
  const gap = (/** @type {number} */ i) => snapshots[i + 1].step - snapshots[i - 1].step;
  for (let i = 2; i < snapshots.length - 1; i++) if (gap(i) < gap(best)) best = i;
  return best;
}

/** All steps of these snapshots, ascending, each once. @param {Snapshot[]} snapshots */
export const steps_of = (snapshots) =>
  [...new Set(snapshots.map(({ step }) => step))].sort((a, b) => a - b);

/**
 * The snapshot of a kind that was the newest at `step`, and the one before it.
 * @template {Snapshot} S
 * @param {S[]} snapshots ascending @param {number} step
 * @returns {[S | null, S | null]}
 */
export function newest_until(snapshots, step) {
  let at = snapshots.length - 1;
  while (at > 0 && snapshots[at].step > step) at -= 1;
  return [snapshots[at] ?? null, snapshots[at - 1] ?? null];
}

/**
 * The words of `now`, those marked that are not part of the longest common subsequence with
 * `before`.
 * @param {string | null} before null: nothing to compare with @param {string} now
 * @returns {Word[]}
 */
export function changed_words(before, now) {
  const words = now.split(/\s+/).filter(Boolean);
  if (before === null) return words.map((text) => ({ text, changed: false }));
  const old = before.split(/\s+/).filter(Boolean);
  if (old.length * words.length > 250_000)
    return words.map((text, i) => ({ text, changed: text !== old[i] }));
  const best = Array.from({ length: old.length + 1 }, () => new Uint16Array(words.length + 1));
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = words.length - 1; j >= 0; j--)
      best[i][j] =
        old[i] === words[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const marked = [];
  for (let i = 0, j = 0; j < words.length;) {
    if (i < old.length && old[i] === words[j])
      [i, j] = [i + 1, marked.push({ text: words[j], changed: false })];
    else if (i < old.length && best[i + 1][j] >= best[i][j + 1]) i += 1;
    else j = marked.push({ text: words[j], changed: true });
  }
  return marked;
}

/**
 * Weights, rows × columns, of one head, or the mean over what is null.
 * @param {Attention} seen @param {number | null} layer @param {number | null} head
 * @returns {Float32Array}
 */
export function weights_of({ layers, heads, rows, columns, maps }, layer, head) {
  const bytes = bytes_of(maps);
  const size = rows.length * columns.length;
  const sum = new Float32Array(size);
  let count = 0;
  for (let l = 0; l < layers; l++)
    for (let h = 0; h < heads; h++) {
      if ((layer !== null && l !== layer) || (head !== null && h !== head)) continue;
      const start = (l * heads + h) * size;
      for (let i = 0; i < size; i++) sum[i] += (bytes[start + i] / 255) ** 2;
      count += 1;
    }
  return count ? sum.map((weight) => weight / count) : sum;
}

/**
 * A slider over steps with a play button; it stays at the end while new steps come, unless it was
 * moved.
 * @param {{ changed: () => void, told: (text: string) => void }} about
 */
export function step_slider({ changed, told }) {
  const play = element(
    "button",
    {
      type: "button",
      class: "llm-play",
      "aria-label": "play",
      title: "Play from the first step to the last",
    },
    "▶",
  );
  const slider = element("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "step" });
  const shown = element("output", {});
  const root = element("div", { class: "llm-steps" }, play, slider, shown);
  /** @type {number[]} */
  let steps = [];
  let at = 0;
  let timer = 0;

  function stop() {
    window.clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play");
  }
  function show(/** @type {number} */ place) {
    at = Math.min(steps.length - 1, Math.max(0, place));
    slider.value = String(at);
    const text = steps.length ? `step ${steps[at].toLocaleString("en-US")}` : "";
    slider.setAttribute("aria-valuetext", text);
    shown.textContent = `${text}${steps.length > 1 ? ` · ${at + 1} of ${steps.length}` : ""}`;
    changed();
  }
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "stop playing");
    if (at >= steps.length - 1) show(0);
    timer = window.setInterval(() => {
      if (!root.isConnected || at >= steps.length - 1) return stop();
      show(at + 1);
    }, PLAY_EVERY_MS);
  };
  slider.oninput = () => {
    stop();
    show(Number(slider.value));
  };
  slider.onchange = () => told(slider.getAttribute("aria-valuetext") ?? "");
  slider.onkeydown = (event) => event.stopPropagation();
  function update(/** @type {number[]} */ news) {
    const followed = at >= steps.length - 1 && !timer;
    const step = steps[at];
    if (news.length === steps.length && news[news.length - 1] === steps[steps.length - 1])
      return changed();
    steps = news;
    slider.max = String(Math.max(0, steps.length - 1));
    slider.disabled = play.disabled = steps.length < 2;
    const place = followed ? steps.length - 1 : steps.findIndex((one) => one >= step);
    show(place < 0 ? steps.length - 1 : place);
  }
  return { root, update, stop, step: () => steps[at] ?? 0 };
}

/**
 * A table of what the model makes of a few rows; words that are new since the snapshot before are
 * marked.
 */
export function samples_table() {
  const body = element("tbody", {});
  const expected_head = element("th", { scope: "col" }, "expected");
  const head = element(
    "thead",
    {},
    element(
      "tr",
      {},
      element("th", { scope: "col" }, "given"),
      element("th", { scope: "col" }, "predicted"),
      expected_head,
    ),
  );
  const note = element("div", { class: "llm-readout llm-muted" });
  const root = element("div", { class: "llm-samples" }, element("table", {}, head, body), note);
  /** @param {Samples[]} snapshots @param {number} step */
  function update(snapshots, step) {
    const [now, before] = newest_until(snapshots, step);
    const rows = now?.rows ?? [];
    const with_expected = rows.some((row) => row[2]);
    expected_head.hidden = !with_expected;
    body.replaceChildren(
      ...rows.map((row, i) => sample_row(row, before?.rows[i]?.[1] ?? null, with_expected)),
    );
    const exact = rows.filter(
      ([, predicted, expected]) => expected && predicted.trim() === expected.trim(),
    ).length;
    const about = [
      with_expected && `${exact} of ${rows.length} as expected`,
      before && `marked: new since step ${before.step.toLocaleString("en-US")}`,
    ];
    note.textContent = about.filter(Boolean).join(" · ");
  }
  return { root, update };
}

/** @param {string[]} row @param {string | null} before @param {boolean} with_expected */
function sample_row([given, predicted, expected], before, with_expected) {
  const words = changed_words(before, predicted).flatMap(({ text, changed }) => [
    changed ? element("mark", {}, text) : text,
    " ",
  ]);
  const right = Boolean(expected) && predicted.trim() === expected.trim();
  const cell = element(
    "td",
    { dir: "auto", class: right ? "llm-right" : "" },
    ...(words.length ? words : [element("span", { class: "llm-muted" }, "(nothing)")]),
  );
  if (right)
    cell.append(
      element(
        "span",
        { class: "llm-tick", role: "img", "aria-label": "as expected", title: "as expected" },
        "✓",
      ),
    );
  return element(
    "tr",
    {},
    element("td", { dir: "auto" }, given),
    cell,
    ...(with_expected ? [element("td", { dir: "auto", class: "llm-muted" }, expected ?? "")] : []),
  );
}

/**
 * The attention of one fixed example, of one head or the mean of several.
 * @param {{ told: (text: string) => void }} about
 */
export function attention_view({ told }) {
  const layer = element("select", { "aria-label": "layer" });
  const head = element("select", { "aria-label": "head" });
  const canvas = element("canvas", { class: "llm-attention", tabindex: 0, role: "img" });
  const readout = element("div", { class: "llm-readout" });
  const bar = element("canvas", { class: "llm-ramp", "aria-hidden": "true" });
  const legend = element(
    "div",
    { class: "llm-legend" },
    element("span", {}, "0"),
    bar,
    element("span", {}, "1"),
  );
  const about = element("span", { class: "llm-muted" });
  const controls = element(
    "div",
    { class: "llm-choose" },
    element("label", {}, "layer ", layer),
    element("label", {}, "head ", head),
    legend,
  );
  const root = element(
    "div",
    { class: "llm-attention-view" },
    controls,
    element("div", { class: "llm-attention-plot" }, canvas),
    readout,
    about,
  );
  /** @type {Attention | null} */
  let seen = null;
  /** @type {Float32Array} */
  let weights = new Float32Array(0);
  /** @type {{ left: number, top: number, cell: number } | null} */
  let place = null;
  /** @type {{ row: number, column: number } | null} */
  let cursor = null;

  const chosen = (/** @type {HTMLSelectElement} */ select) =>
    select.value === "mean" ? null : Number(select.value);
  const draw = once_a_frame(() => {
    const width = root.clientWidth;
    if (!seen || !canvas.isConnected || !width) return;
    place = draw_attention(canvas, seen, weights, width, cursor);
    draw_ramp(bar, colour_ramp(theme_at(canvas).background));
    canvas.dataset.step = String(seen.step);
    canvas.setAttribute(
      "aria-label",
      `attention at step ${seen.step}, ` +
        `${seen.rows.length} rows, ${seen.columns.length} columns; arrow keys read it`,
    );
  });
  function compute() {
    if (!seen) return;
    weights = weights_of(seen, chosen(layer), chosen(head));
    say();
    draw();
  }
  function say() {
    if (!seen) return;
    const { rows, columns } = seen;
    if (!cursor || cursor.row >= rows.length || cursor.column >= columns.length)
      return void readout.replaceChildren(
        element("span", { class: "llm-muted" }, "Point at a cell to read its weight."),
      );
    const weight = weights[cursor.row * columns.length + cursor.column];
    readout.replaceChildren(
      element("bdi", {}, short(rows[cursor.row])),
      " → ",
      element("bdi", {}, short(columns[cursor.column])),
      element("b", {}, number_text(weight, 2)),
    );
  }
  layer.onchange = head.onchange = compute;
  layer.onkeydown = head.onkeydown = (event) => event.stopPropagation();
  canvas.onpointermove = (event) => {
    if (!place || !seen) return;
    const [row, column] = [
      Math.floor((event.offsetY - place.top) / place.cell),
      Math.floor((event.offsetX - place.left) / place.cell),
    ];
    point(
      row >= 0 && row < seen.rows.length && column >= 0 && column < seen.columns.length
        ? { row, column }
        : null,
    );
  };
  canvas.onpointerleave = canvas.onblur = () => point(null);
  function point(/** @type {typeof cursor} */ at) {
    cursor = at;
    say();
    draw();
  }
  canvas.onkeydown = (event) => {
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move || !seen) return;
    event.preventDefault();
    event.stopPropagation();
    const inside = (/** @type {number} */ value, /** @type {number} */ count) =>
      Math.min(count - 1, Math.max(0, value));
    point(
      cursor
        ? {
            row: inside(cursor.row + move[0], seen.rows.length),
            column: inside(cursor.column + move[1], seen.columns.length),
          }
        : { row: 0, column: 0 },
    );
    told(readout.textContent ?? "");
  };
  /** @param {Attention[]} snapshots @param {number} step */
  function update(snapshots, step) {
    const [now] = newest_until(snapshots, step);
    if (!now) return;
    if (seen === now) return draw();
    seen = now;
    options_of(layer, now.layers, "all layers");
    options_of(head, now.heads, "all heads");
    about.textContent = KIND_TEXT[/** @type {"cross" | "self"} */ (now.about)] ?? now.about;
    compute();
  }
  say();
  const unwatch = on_theme_or_size(root, draw);
  return { root, update, unwatch };
}

/**
 * Choices 0 … count − 1 behind the mean, kept as chosen.
 * @param {HTMLSelectElement} select
 * @param {number} count
 * @param {string} all
 */
function options_of(select, count, all) {
  if (select.options.length === count + 1) return;
  const before = select.value;
  const mean = element("option", { value: "mean" }, `mean of ${all}`);
  select.replaceChildren(
    mean,
    ...Array.from({ length: count }, (_, i) => element("option", { value: i }, String(i))),
  );
  select.value =
    before && [...select.options].some(({ value }) => value === before) ? before : "mean";
}

/**
 * A token as a label: the marks that tokenizers put for a space as one that people know.
 * @param {string} token
 */
export function short(token) {
  const signs = [...token.replace(/[\u2581\u0120]/g, "␣")];
  return signs.length <= LONGEST_TOKEN
    ? signs.join("")
    : `${signs.slice(0, LONGEST_TOKEN - 1).join("")}…`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Attention} seen
 * @param {Float32Array} weights
 * @param {number} width
 * @param {{ row: number, column: number } | null} cursor
 */
function draw_attention(canvas, { rows, columns }, weights, width, cursor) {
  const theme = theme_at(canvas);
  const font = `11.5px ${theme.font}`;
  const measure = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  measure.font = font;
  const widest = (/** @type {string[]} */ tokens) =>
    Math.max(8, ...tokens.map((token) => measure.measureText(short(token)).width));
  const left = Math.ceil(widest(rows)) + 10;
  const slant = Math.ceil(widest(columns) * 0.72) + 12;
  const cell = Math.max(
    3,
    Math.min(
      30,
      Math.floor((width - left - slant) / columns.length),
      Math.floor(560 / rows.length),
    ),
  );
  const top = slant + 2;
  const context = fitted(
    canvas,
    left + cell * columns.length + slant,
    top + cell * rows.length + 2,
  );
  const colours = colour_ramp(theme.background);
  const picture = element("canvas", { width: columns.length, height: rows.length });
  const pixels = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  const image = pixels.createImageData(columns.length, rows.length);
  const words = new Uint32Array(image.data.buffer);
  // √ as in the bytes: small weights stay visible.
  for (let i = 0; i < words.length; i++)
    words[i] = colours[Math.min(255, Math.round(255 * Math.sqrt(weights[i] ?? 0)))];
  pixels.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, left, top, cell * columns.length, cell * rows.length);
  Object.assign(context, { strokeStyle: theme.line, lineWidth: 1, font, textBaseline: "middle" });
  context.strokeRect(left - 0.5, top - 0.5, cell * columns.length + 1, cell * rows.length + 1);
  const every = Math.max(1, Math.ceil(12 / cell));
  rows.forEach((token, i) => {
    if (i % every && cursor?.row !== i) return;
    context.textAlign = "right";
    context.fillStyle = cursor?.row === i ? theme.accent : theme.ink;
    context.fillText(short(token), left - 6, top + (i + 0.5) * cell);
  });
  columns.forEach((token, i) => {
    if (i % every && cursor?.column !== i) return;
    context.save();
    context.translate(left + (i + 0.5) * cell, top - 5);
    context.rotate(-Math.PI / 4);
    context.textAlign = "left";
    context.fillStyle = cursor?.column === i ? theme.accent : theme.ink;
    context.fillText(short(token), 0, 0);
    context.restore();
  });
  if (cursor) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    context.strokeRect(left + cursor.column * cell, top + cursor.row * cell, cell, cell);
  }
  return { left, top, cell };
}
