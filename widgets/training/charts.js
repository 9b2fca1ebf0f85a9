import { fitted, once_a_frame } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { nice_ticks, number_text } from "../shared/numbers.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";
import THEME from "../shared/theme.json" with { type: "json" };

// Lines over steps: what is drawn where, and a chart that can be pointed at, by pointer and by key.

/**
 * @typedef {{
 *   name: string, colour: number, thin: boolean, noisy: boolean, raw: boolean, end: string,
 *   steps: number[], values: number[],
 * }} Line
 *   `colour` counts the palette; `noisy` lines are smoothed, over their `raw` values or without
 *   them; `end` is written where the line ends, with its last value
 * @typedef {{
 *   left: number, right: number, top: number, bottom: number, x: [number, number],
 *   y: [number, number], log: boolean,
 * }} Frame
 * @typedef {{ log: boolean, smoothing: number, marks: Mark[], cursor: number | null }} How
 * @typedef {{ run: string, step: number, text: string }} Mark
 */

/**
 * Shorter series, such as one value an epoch, stay as they are: an average would only lag behind
 * them.
 */
const FEWEST_SMOOTHED = 30;

/** The colour of a line on this page. @param {number} number @param {boolean} dark */
export function line_colour(number, dark) {
  const palette = dark ? THEME.series.dark : THEME.series.light;
  return palette[number % palette.length];
}

/**
 * Exponential moving average with weight `weight` of the past, without the pull towards zero at the
 * start; values that are not finite stay and are passed over.
 * @param {number[]} values @param {number} weight
 * @returns {number[]}
 */
export function smoothed(values, weight) {
  if (!(weight > 0) || values.length < FEWEST_SMOOTHED) return values;
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return sum / share;
  });
}

/**
 * Position of the entry of ascending `steps` that lies nearest to `step`; -1 when there is none.
 * @param {number[]} steps @param {number} step
 */
export function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && step - steps[low - 1] <= steps[low] - step) low -= 1;
  return steps.length ? low : -1;
}

/**
 * Where values land: the range of everything that can be drawn, with a little air.
 * @param {{ steps: number[], values: number[] }[]} series
 * @param {boolean} log
 * @param {number} width
 * @param {number} height
 * @param {number} right_px
 * @returns {Frame}
 */
export function frame_of(series, log, width, height, right_px) {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { steps, values } of series) {
    for (let i = 0; i < steps.length; i++) {
      if (!Number.isFinite(values[i]) || (log && values[i] <= 0)) continue;
      [x0, x1] = [Math.min(x0, steps[i]), Math.max(x1, steps[i])];
      [y0, y1] = [Math.min(y0, values[i]), Math.max(y1, values[i])];
    }
  }
  if (x0 > x1) [x0, x1, y0, y1] = [0, 1, log ? 0.1 : 0, 1];
  if (x0 === x1) x1 = x0 + 1;
  if (log) [y0, y1] = y1 > y0 ? [y0 / 1.08, y1 * 1.08] : [y0 / 2, y1 * 2];
  else {
    const air = 0.05 * (y1 - y0) || Math.max(Math.abs(y1) / 2, 1e-6);
    [y0, y1] = [y0 >= 0 && y0 < 0.3 * y1 ? 0 : y0 - air, y1 + air];
  }
  return {
    left: 48,
    right: Math.max(108, width - right_px),
    top: 10,
    bottom: height - 24,
    x: [x0, x1],
    y: [y0, y1],
    log,
  };
}

/** @param {Frame} frame @param {number} step */
export const x_px = (frame, step) =>
  frame.left + ((step - frame.x[0]) / (frame.x[1] - frame.x[0])) * (frame.right - frame.left);

/** @param {Frame} frame @param {number} value */
export function y_px({ bottom, top, y, log }, value) {
  const at = log ? Math.log(value / y[0]) / Math.log(y[1] / y[0]) : (value - y[0]) / (y[1] - y[0]);
  return bottom - at * (bottom - top);
}

/** @param {Frame} frame @returns {number[]} */
export function y_ticks({ y: [low, high], log, bottom, top }) {
  const about = Math.max(4, Math.round((bottom - top) / 45));
  if (!log) return nice_ticks(low, high, about);
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const digit of [1, 2, 5])
      if (digit * 10 ** e >= low && digit * 10 ** e <= high) ticks.push(digit * 10 ** e);
  const decades = ticks.filter((tick) => Math.abs(Math.log10(tick) % 1) < 1e-9);
  if (ticks.length < 2) return nice_ticks(low, high, about);
  if (ticks.length <= 2 * about) return ticks;
  const stride = Math.ceil(decades.length / (about + 1));
  return decades.filter((_, i) => i % stride === 0);
}

/**
 * One path of a line; where many points share a pixel column only the lowest and the highest are
 * kept.
 * @param {Frame} frame @param {number[]} steps @param {number[]} values
 * @returns {[number, number][]}
 */
export function line_points(frame, steps, values) {
  /** @type {[number, number][]} */
  const points = [];
  for (let i = 0; i < steps.length; i++)
    if (Number.isFinite(values[i]) && (!frame.log || values[i] > 0))
      points.push([x_px(frame, steps[i]), y_px(frame, values[i])]);
  if (points.length < 4 * (frame.right - frame.left)) return points;
  /** @type {[number, number][]} */
  const kept = [];
  for (let i = 0; i < points.length;) {
    const column = Math.floor(points[i][0]);
    let [low, high] = [points[i], points[i]];
    for (; i < points.length && Math.floor(points[i][0]) === column; i++) {
      if (points[i][1] < low[1]) low = points[i];
      if (points[i][1] > high[1]) high = points[i];
    }
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

/**
 * Heights near `wanted`, at least `apart` from each other and inside the frame, in the order given.
 * @param {number[]} wanted @param {number} apart @param {number} top @param {number} bottom
 */
export function spread(wanted, apart, top, bottom) {
  const order = wanted.map((_, i) => i).sort((i, j) => wanted[i] - wanted[j]);
  const placed = wanted.slice();
  let edge = top - apart;
  for (const i of order) edge = placed[i] = Math.max(wanted[i], edge + apart);
  edge = bottom + apart;
  for (const i of order.reverse()) edge = placed[i] = Math.min(placed[i], edge - apart);
  return placed;
}

/**
 * The weight that smooths a curve of `count` points as much, for the eye, as `smoothing` does one
 * of a thousand: an average over the same share of the curve, so that a short one does not lag
 * behind.
 * @param {number} smoothing @param {number} count
 */
export const weight_for = (smoothing, count) =>
  smoothing > 0 ? Math.min(0.999, smoothing ** (1000 / count)) : 0;

/**
 * The lines as they are drawn: smoothed where that was asked for, without those that have no point.
 * @param {Line[]} lines @param {number} smoothing
 * @returns {(Line & { drawn: number[] })[]}
 */
export function drawn_lines(lines, smoothing) {
  return lines
    .filter(({ steps }) => steps.length)
    .map((line) => ({
      ...line,
      drawn: line.noisy
        ? smoothed(line.values, weight_for(smoothing, line.values.length))
        : line.values,
    }));
}

/**
 * The name and the last value of a line, as short as its chart is narrow.
 * @param {string} end @param {number} value @param {number} width
 */
export function end_text(end, value, width) {
  const most = width < 420 ? 8 : width < 600 ? 12 : 18;
  const name = [...end].length > most ? `${[...end].slice(0, most - 1).join("")}…` : end;
  return `${name}${name ? "  " : ""}${number_text(value, 4)}`;
}

/**
 * What the frame of a line must hold: all of it, but of the values behind a smoothed line only the
 * middle 96 %.
 * @param {Line & { drawn: number[] }} line
 * @returns {{ steps: number[], values: number[] }[]}
 */
export function seen_of({ steps, values, drawn, raw }) {
  if (!raw || drawn === values) return [{ steps, values: drawn }];
  if (values.length < 100) return [{ steps, values }];
  const stride = Math.ceil(values.length / 2000);
  const sorted = values
    .filter((value, i) => i % stride === 0 && Number.isFinite(value))
    .sort((a, b) => a - b);
  const most = [sorted[Math.floor(0.02 * sorted.length)], sorted[Math.floor(0.98 * sorted.length)]];
  return [
    { steps, values: drawn },
    ...(sorted.length ? [{ steps: [steps[0], steps[steps.length - 1]], values: most }] : []),
  ];
}

/**
 * Everything on the canvas: grid, marks, lines, their names at the end, and the rule at the cursor.
 * @param {HTMLCanvasElement} canvas
 * @param {Line[]} lines
 * @param {How} how
 * @param {number} height
 * @param {number} width
 * @returns {Frame}
 */
function draw_chart(canvas, lines, how, height, width) {
  const theme = theme_at(canvas);
  const context = fitted(canvas, width, height);
  const shown = drawn_lines(lines, how.smoothing);
  const texts = shown.map(({ end, drawn }) => end_text(end, drawn[drawn.length - 1], width));
  context.font = `600 11.5px ${theme.font}`;
  const room = Math.max(24, ...texts.map((text) => context.measureText(text).width + 20));
  const frame = frame_of(shown.flatMap(seen_of), how.log, width, height, room);
  draw_grid(context, frame, theme, shown.length > 0, height);
  context.save();
  context.beginPath();
  context.rect(frame.left - 4, 0, frame.right - frame.left + 9, frame.bottom + 3);
  context.clip(); // the raw values of a smoothed line may lie outside
  for (const { step } of how.marks) draw_mark(context, frame, theme, step);
  const ends = shown.map((line) => {
    const colour = line_colour(line.colour, theme.dark);
    if (line.raw && line.drawn !== line.values)
      draw_line(context, line_points(frame, line.steps, line.values), colour, 1, 0.22);
    const points = line_points(frame, line.steps, line.drawn);
    draw_line(context, points, colour, line.thin ? 1.3 : 2.1, 1);
    return points[points.length - 1]?.[1] ?? frame.bottom;
  });
  context.restore();
  context.textAlign = "left";
  spread(ends, 15, frame.top, frame.bottom).forEach((y, i) => {
    context.fillStyle = line_colour(shown[i].colour, theme.dark);
    context.font = `${shown[i].thin ? 400 : 600} 11.5px ${theme.font}`;
    context.fillText(texts[i], frame.right + 9, y);
  });
  if (how.cursor !== null) draw_cursor(context, frame, theme, shown, how.cursor);
  return frame;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {import("../shared/theme.js").Theme} theme
 * @param {boolean} with_values
 * @param {number} height
 */
function draw_grid(context, frame, theme, with_values, height) {
  context.textBaseline = "middle";
  context.font = `11px ${theme.font}`;
  context.lineWidth = 1;
  context.strokeStyle = theme.line;
  context.fillStyle = theme.muted;
  const rule = (/** @type {number} */ y) => {
    context.beginPath();
    context.moveTo(frame.left, Math.round(y) + 0.5);
    context.lineTo(frame.right, Math.round(y) + 0.5);
    context.stroke();
  };
  rule(frame.bottom);
  context.textAlign = "center";
  if (!with_values)
    return context.fillText(
      "waiting for the first values",
      (frame.left + frame.right) / 2,
      height / 2,
    );
  const steps = nice_ticks(
    frame.x[0],
    frame.x[1],
    Math.max(3.5, (frame.right - frame.left) / 90),
  ).filter(Number.isInteger);
  steps.forEach((step) =>
    context.fillText(step.toLocaleString("en-US"), x_px(frame, step), frame.bottom + 13),
  );
  context.textAlign = "right";
  for (const value of y_ticks(frame)) {
    rule(y_px(frame, value));
    context.fillText(number_text(value), frame.left - 8, y_px(frame, value));
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {import("../shared/theme.js").Theme} theme
 * @param {number} step
 */
function draw_mark(context, frame, theme, step) {
  const x = Math.round(x_px(frame, step)) + 0.5;
  context.strokeStyle = theme.muted;
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(x, frame.top);
  context.lineTo(x, frame.bottom);
  context.stroke();
  context.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number][]} points
 * @param {string} colour
 * @param {number} width
 * @param {number} opacity
 */
function draw_line(context, points, colour, width, opacity) {
  Object.assign(context, {
    strokeStyle: colour,
    fillStyle: colour,
    lineWidth: width,
    globalAlpha: opacity,
    lineJoin: "round",
    lineCap: "round",
  });
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
  if (points.length <= 12 && opacity === 1) for (const [x, y] of points) dot(context, x, y, 2.4);
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {import("../shared/theme.js").Theme} theme
 * @param {(Line & { drawn: number[] })[]} lines
 * @param {number} cursor
 */
function draw_cursor(context, frame, theme, lines, cursor) {
  const x = x_px(frame, cursor);
  context.strokeStyle = theme.muted;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x, frame.top);
  context.lineTo(x, frame.bottom);
  context.stroke();
  for (const { steps, drawn, colour } of lines) {
    const at = nearest(steps, cursor);
    const value = drawn[at];
    if (!Number.isFinite(value) || (frame.log && value <= 0)) continue;
    context.fillStyle = line_colour(colour, theme.dark);
    dot(context, x_px(frame, steps[at]), y_px(frame, value), 3.4);
  }
}

/**
 * A chart with a readout. `told` gets a sentence for screen readers whenever a key has moved the
 * cursor, `moved` the step under the cursor, so that charts beside each other can show the same one
 * (through `point_at`).
 * @param {{
 *   name: string, height: number, heading?: boolean, told: (text: string) => void,
 *   moved?: (step: number | null) => void,
 * }} about
 */
export function chart({ name, height, heading = false, told, moved = () => {} }) {
  const canvas = element("canvas", { class: "llm-chart", tabindex: 0, role: "img" });
  const tip = element("div", { class: "llm-tip", hidden: true });
  const title = element("div", { class: "llm-chart-name" }, name);
  const root = element("div", { class: "llm-plot" }, ...(heading ? [title] : []), canvas, tip);
  /** @type {Line[]} */
  let lines = [];
  /** @type {How} */
  let how = { log: false, smoothing: 0, marks: [], cursor: null };
  /** @type {Frame | null} */
  let frame = null;

  const draw = once_a_frame(() => {
    const width = root.clientWidth;
    if (!canvas.isConnected || !width) return;
    frame = draw_chart(canvas, lines, how, height, width);
    canvas.dataset.points = String(lines.reduce((sum, { steps }) => sum + steps.length, 0));
    const ends = lines
      .filter(({ values }) => values.length)
      .map((line) => `${line.name} ${number_text(line.values[line.values.length - 1], 4)}`);
    canvas.setAttribute("aria-label", `${name}: ${ends.join(", ") || "no values yet"}`);
    show_tip();
  });
  function show_tip() {
    tip.hidden = how.cursor === null || !frame || !lines.length;
    if (how.cursor === null || !frame) return;
    const cursor = how.cursor;
    const dark = theme_at(canvas).dark;
    const rows = drawn_lines(lines, how.smoothing).map((line) => {
      const at = nearest(line.steps, cursor);
      const swatch = element("i", {});
      swatch.style.background = line_colour(line.colour, dark);
      const beside =
        line.steps[at] === cursor ? "" : ` at ${line.steps[at].toLocaleString("en-US")}`;
      const raw =
        line.drawn !== line.values
          ? [element("span", { class: "llm-raw" }, `raw ${number_text(line.values[at], 4)}`)]
          : [];
      return element(
        "div",
        {},
        swatch,
        element("span", {}, `${line.name}${beside}`),
        element("b", {}, number_text(line.drawn[at], 4)),
        ...raw,
      );
    });
    const reach = 0.008 * (frame.x[1] - frame.x[0]);
    const marks = how.marks.filter(({ step }) => Math.abs(step - cursor) <= reach);
    const notes = marks.map(({ run, step, text }) =>
      element(
        "div",
        { class: "llm-step" },
        [run, text, step === cursor ? "" : `at ${step.toLocaleString("en-US")}`]
          .filter(Boolean)
          .join(" "),
      ),
    );
    tip.replaceChildren(
      element("div", { class: "llm-step" }, `step ${cursor.toLocaleString("en-US")}`),
      ...rows,
      ...notes,
    );
    const x = x_px(frame, cursor);
    const is_too_wide = x + 14 + tip.offsetWidth > root.clientWidth;
    tip.style.left = `${Math.max(0, is_too_wide ? x - 14 - tip.offsetWidth : x + 14)}px`;
  }
  /** Puts the cursor on the step nearest to `step` that any line has; null takes it away. */
  function point_at(/** @type {number | null} */ step) {
    const near =
      step === null
        ? []
        : lines.map(({ steps }) => steps[nearest(steps, step)]).filter((at) => at !== undefined);
    const cursor = near.length
      ? near.reduce((best, at) =>
          Math.abs(at - Number(step)) < Math.abs(best - Number(step)) ? at : best,
        )
      : null;
    how = { ...how, cursor };
    draw();
    return cursor;
  }
  canvas.onpointermove = (event) => {
    if (!frame) return;
    const { left, right, x } = frame;
    moved(point_at(x[0] + ((event.offsetX - left) / (right - left)) * (x[1] - x[0])));
  };
  canvas.onpointerleave = canvas.onblur = () => moved(point_at(null));
  canvas.onkeydown = (event) => {
    const longest = lines.reduce(
      (best, one) => (one.steps.length > best.length ? one.steps : best),
      /** @type {number[]} */ ([]),
    );
    const at = how.cursor === null ? longest.length - 1 : nearest(longest, how.cursor);
    const stride = event.shiftKey ? 10 : 1;
    const to = {
      ArrowLeft: at - stride,
      ArrowRight: at + stride,
      Home: 0,
      End: longest.length - 1,
    }[event.key];
    if (to === undefined || !longest.length) {
      if (event.key === "Escape") canvas.blur();
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
    const cursor = point_at(longest[Math.min(longest.length - 1, Math.max(0, to))]);
    moved(cursor);
    const words = lines.map(
      (line) =>
        `${line.name} ${number_text(line.values[nearest(line.steps, cursor ?? 0)] ?? NaN, 4)}`,
    );
    told(`step ${cursor}: ${words.join(", ")}`);
  };
  function update(/** @type {Line[]} */ news, /** @type {Partial<How>} */ changes) {
    [lines, how] = [news, { ...how, ...changes }];
    draw();
  }
  const unwatch = on_theme_or_size(root, draw);
  return { root, update, point_at, unwatch };
}

/**
 * Small charts beside each other, one a name, that share their cursor.
 * @param {{ height: number, told: (text: string) => void }} about
 */
export function small_charts({ height, told }) {
  const root = element("div", { class: "llm-charts" });
  /** @type {Map<string, ReturnType<typeof chart>>} */
  const held = new Map();
  function of(/** @type {string} */ name) {
    let made = held.get(name);
    if (!made) {
      const others = (/** @type {number | null} */ step) =>
        held.forEach((one, other) => other !== name && one.point_at(step));
      made = chart({ name, height, heading: true, told, moved: others });
      held.set(name, made);
      root.append(made.root);
    }
    return made;
  }
  /** @param {[string, Line[], Partial<How>][]} charts */
  const update = (charts) => charts.forEach(([name, lines, how]) => of(name).update(lines, how));
  const unwatch = () => held.forEach((one) => one.unwatch());
  return { root, update, unwatch };
}
