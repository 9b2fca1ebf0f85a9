import { bytes_of, duration_text, element, fitted, floats_of, nice_ticks, number_text, on_theme_or_size, once_a_frame, theme_at } from "./common.js";

/**
 * @typedef {{
 *   title: string,
 *   status: "running" | "stopping" | "finished" | "interrupted" | "failed",
 *   progress: Progress,
 *   series_names: string[],
 *   history: DataView,
 *   log_scale: boolean,
 *   smoothing: number,
 * }} Traits
 * @typedef {{ step?: number, total_steps?: number, epoch?: number, total_epochs?: number, eta_s?: number, tokens_per_s?: number, learning_rate?: number, note?: string }} Progress
 * @typedef {{ name: string, steps: number[], values: number[] }} Series
 * @typedef {{ left: number, right: number, top: number, bottom: number, x: [number, number], y: [number, number], log: boolean }} Frame
 */

const HEIGHT_PX = 260;
/** Shorter series, such as one value an epoch, stay as they are: an average would only lag behind them. */
const FEWEST_SMOOTHED = 30;
const COLOURS = { light: ["#1f6fb8", "#c8590f", "#128a5e", "#934ca6", "#94700a", "#bd3549"], dark: ["#5aa9ee", "#f08c3e", "#3ec796", "#cd8fdc", "#d9b23a", "#f07a8b"] };
const STATUS = { running: "running", stopping: "stopping…", finished: "finished", interrupted: "interrupted", failed: "failed" };

/**
 * Points of every series out of (number, step, value) triples; a later point of a repeated step stays beside it.
 * @param {Float32Array} triples @param {string[]} names
 * @returns {Series[]}
 */
export function series_of(triples, names) {
  /** @type {Series[]} */
  const series = names.map((name) => ({ name, steps: [], values: [] }));
  for (let i = 0; i + 2 < triples.length; i += 3) {
    const one = series[triples[i]];
    if (!one) continue;
    one.steps.push(triples[i + 1]);
    one.values.push(triples[i + 2]);
  }
  return series;
}

/**
 * `held` with `news` put at point `from`; null when points in between are missing and the next history must be awaited.
 * @param {Float32Array} held @param {number} from @param {Float32Array} news
 * @returns {Float32Array | null}
 */
export function joined(held, from, news) {
  if (3 * from > held.length) return null;
  const whole = new Float32Array(Math.max(held.length, 3 * from + news.length));
  whole.set(held);
  whole.set(news, 3 * from);
  return whole;
}

/**
 * Exponential moving average with weight `weight` of the past, without the pull towards zero at the start;
 * values that are not finite stay and are passed over.
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
 * @param {Series[]} series @param {boolean} log @param {number} width @param {number} height @param {number} right_px
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
  return { left: 48, right: Math.max(60, width - right_px), top: 10, bottom: height - 24, x: [x0, x1], y: [y0, y1], log };
}

/** @param {Frame} frame @param {number} step */
export const x_px = (frame, step) => frame.left + ((step - frame.x[0]) / (frame.x[1] - frame.x[0])) * (frame.right - frame.left);

/** @param {Frame} frame @param {number} value */
export function y_px({ bottom, top, y, log }, value) {
  const at = log ? Math.log(value / y[0]) / Math.log(y[1] / y[0]) : (value - y[0]) / (y[1] - y[0]);
  return bottom - at * (bottom - top);
}

/** @param {Frame} frame @returns {number[]} */
export function y_ticks({ y: [low, high], log }) {
  if (!log) return nice_ticks(low, high, 4);
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const digit of [1, 2, 5]) if (digit * 10 ** e >= low && digit * 10 ** e <= high) ticks.push(digit * 10 ** e);
  const decades = ticks.filter((tick) => Math.abs(Math.log10(tick) % 1) < 1e-9);
  return ticks.length > 8 ? decades : ticks.length > 1 ? ticks : nice_ticks(low, high, 4);
}

/**
 * One path of a line; where many points share a pixel column only the lowest and the highest are kept.
 * @param {Frame} frame @param {number[]} steps @param {number[]} values
 * @returns {[number, number][]}
 */
export function line_points(frame, steps, values) {
  /** @type {[number, number][]} */
  const points = [];
  for (let i = 0; i < steps.length; i++)
    if (Number.isFinite(values[i]) && (!frame.log || values[i] > 0)) points.push([x_px(frame, steps[i]), y_px(frame, values[i])]);
  if (points.length < 4 * (frame.right - frame.left)) return points;
  /** @type {[number, number][]} */
  const kept = [];
  for (let i = 0; i < points.length; ) {
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
 * "step 300 of 900 · epoch 3 · 12 s left · 4,120 tokens/s · learning rate 0.0003"
 * @param {Progress} progress @param {boolean} running
 */
export function progress_text(progress, running) {
  const { step, total_steps, epoch, total_epochs, eta_s, tokens_per_s, learning_rate, note } = progress;
  const count = (/** @type {number} */ value) => value.toLocaleString("en-US");
  const parts = [
    step != null && `step ${count(step)}${total_steps ? ` of ${count(total_steps)}` : ""}`,
    epoch != null && `epoch ${number_text(epoch)}${total_epochs ? ` of ${total_epochs}` : ""}`,
    running && eta_s != null && `${duration_text(eta_s)} left`,
    tokens_per_s != null && `${count(Math.round(tokens_per_s))} tokens/s`,
    learning_rate != null && `learning rate ${number_text(learning_rate)}`,
    note,
  ];
  return parts.filter(Boolean).join(" · ");
}

/**
 * Everything on the canvas: grid, lines, their names at the end, and the rule at `cursor`.
 * @param {HTMLCanvasElement} canvas @param {Series[]} series @param {{ log: boolean, smoothing: number, cursor: number | null }} how
 * @returns {{ frame: Frame, colours: string[] }}
 */
function draw_chart(canvas, series, { log, smoothing, cursor }) {
  const theme = theme_at(canvas);
  const width = Math.max(280, canvas.parentElement?.clientWidth ?? 640);
  const context = fitted(canvas, width, HEIGHT_PX);
  const shown = series.filter(({ steps }) => steps.length);
  const lines = shown.map(({ values }) => smoothed(values, smoothing));
  const texts = shown.map(({ name }, i) => `${name.length > 18 ? `${name.slice(0, 17)}…` : name}  ${number_text(lines[i][lines[i].length - 1], 4)}`);
  context.font = `600 11.5px ${theme.font}`;
  const room = Math.max(24, ...texts.map((text) => context.measureText(text).width + 24));
  const frame = frame_of(series, log, width, HEIGHT_PX, room);
  const palette = theme.dark ? COLOURS.dark : COLOURS.light;
  const colours = series.map((_, i) => palette[i % palette.length]);
  draw_grid(context, frame, theme, shown.length > 0);
  const ends = shown.map((one, i) => {
    const colour = colours[series.indexOf(one)];
    const thin = one.name === "train";
    if (lines[i] !== one.values) draw_line(context, line_points(frame, one.steps, one.values), colour, 1, 0.28);
    const points = line_points(frame, one.steps, lines[i]);
    draw_line(context, points, colour, thin && !smoothing ? 1.2 : 2.2, 1);
    return points[points.length - 1]?.[1] ?? frame.bottom;
  });
  context.textAlign = "left";
  spread(ends, 15, frame.top, frame.bottom).forEach((y, i) => {
    context.fillStyle = colours[series.indexOf(shown[i])];
    context.font = `${shown[i].name === "train" ? 400 : 600} 11.5px ${theme.font}`;
    context.fillText(texts[i], frame.right + 10, y);
  });
  if (cursor !== null) draw_cursor(context, frame, theme, series, colours, cursor, smoothing);
  return { frame, colours };
}

/** @param {CanvasRenderingContext2D} context @param {Frame} frame @param {import("./common.js").Theme} theme @param {boolean} with_values */
function draw_grid(context, frame, theme, with_values) {
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
  if (!with_values) return context.fillText("waiting for the first values", (frame.left + frame.right) / 2, HEIGHT_PX / 2);
  const steps = nice_ticks(frame.x[0], frame.x[1], 5).filter(Number.isInteger);
  steps.forEach((step) => context.fillText(step.toLocaleString("en-US"), x_px(frame, step), frame.bottom + 13));
  context.textAlign = "right";
  for (const value of y_ticks(frame)) {
    rule(y_px(frame, value));
    context.fillText(number_text(value), frame.left - 8, y_px(frame, value));
  }
}

/** @param {CanvasRenderingContext2D} context @param {[number, number][]} points @param {string} colour @param {number} width @param {number} opacity */
function draw_line(context, points, colour, width, opacity) {
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: opacity, lineJoin: "round", lineCap: "round" });
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
  if (points.length <= 12 && opacity === 1) for (const [x, y] of points) dot(context, x, y, 2.4);
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius */
function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {Frame} frame @param {import("./common.js").Theme} theme @param {Series[]} series @param {string[]} colours @param {number} cursor @param {number} smoothing */
function draw_cursor(context, frame, theme, series, colours, cursor, smoothing) {
  const x = x_px(frame, cursor);
  context.strokeStyle = theme.muted;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x, frame.top);
  context.lineTo(x, frame.bottom);
  context.stroke();
  series.forEach(({ steps, values }, i) => {
    const at = nearest(steps, cursor);
    if (at < 0) return;
    const value = smoothed(values, smoothing)[at];
    if (!Number.isFinite(value) || (frame.log && value <= 0)) return;
    context.fillStyle = colours[i];
    dot(context, x_px(frame, steps[at]), y_px(frame, value), 3.4);
  });
}

/**
 * The controls and the lines of text around the chart, filled from the model.
 * @param {import("./common.js").Model<Traits>} model
 */
function controls(model) {
  const title = element("span", { class: "llm-title", dir: "auto" });
  const status = element("span", { class: "llm-status" });
  const stop = element("button", { type: "button", class: "llm-stop", title: "Stop after the current step; the model and a checkpoint are kept" }, "Stop");
  const fill = element("div", { class: "llm-fill" });
  const bar = element("div", { class: "llm-bar", role: "progressbar", "aria-label": "training", "aria-valuemin": 0 }, fill);
  const numbers = element("div", { class: "llm-numbers" });
  const log = element("input", { type: "checkbox" });
  const smoothing = element("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "smoothing" });
  const amount = element("output", {});
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  stop.onclick = () => {
    stop.disabled = true;
    stop.textContent = "Stopping…";
    model.send({ do: "stop" });
  };
  log.onchange = () => {
    model.set("log_scale", log.checked);
    model.save_changes();
  };
  smoothing.oninput = () => model.set("smoothing", Number(smoothing.value));
  smoothing.onchange = () => model.save_changes();
  const settings = element("div", { class: "llm-settings" }, element("label", {}, log, " log scale"), element("label", {}, "smoothing ", smoothing, " ", amount));
  const head = element("div", { class: "llm-head" }, title, status, stop);

  let told = "";
  function update() {
    const progress = model.get("progress");
    const now = model.get("status");
    const running = now === "running" || now === "stopping";
    title.textContent = model.get("title");
    status.textContent = STATUS[now];
    status.dataset.status = now;
    stop.hidden = !running;
    if (now === "stopping") [stop.disabled, stop.textContent] = [true, "Stopping…"];
    numbers.textContent = progress_text(progress, running);
    bar.hidden = !progress.total_steps;
    if (progress.total_steps) {
      fill.style.width = `${Math.min(100, (100 * (progress.step ?? 0)) / progress.total_steps)}%`;
      bar.setAttribute("aria-valuemax", String(progress.total_steps));
      bar.setAttribute("aria-valuenow", String(progress.step ?? 0));
    }
    log.checked = model.get("log_scale");
    smoothing.value = String(model.get("smoothing"));
    amount.textContent = model.get("smoothing").toFixed(2);
    if (told !== now) spoken.textContent = `${model.get("title")}: ${STATUS[now]}. ${numbers.textContent}`;
    told = now;
  }
  return { head, bar, numbers, settings, spoken, update };
}

/** @param {{ model: import("./common.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const around = controls(model);
  const canvas = element("canvas", { class: "llm-chart", tabindex: 0, role: "img" });
  const tip = element("div", { class: "llm-tip", hidden: true });
  const root = element("div", { class: "llm-loss-curve" }, around.head, around.bar, around.numbers, element("div", { class: "llm-plot" }, canvas, tip), around.settings, around.spoken);
  el.append(root);

  let triples = floats_of(model.get("history"));
  let series = series_of(triples, model.get("series_names"));
  /** @type {number | null} */
  let cursor = null;
  /** @type {{ frame: Frame, colours: string[] } | null} */
  let drawn = null;

  const draw = once_a_frame(() => {
    if (!canvas.isConnected) return;
    drawn = draw_chart(canvas, series, { log: model.get("log_scale"), smoothing: model.get("smoothing"), cursor });
    canvas.dataset.points = String(triples.length / 3);
    canvas.setAttribute("aria-label", series.map(({ name, values }) => `${name} ${number_text(values[values.length - 1] ?? NaN, 4)}`).join(", ") || "no values yet");
    show_tip();
  });
  function take(/** @type {Float32Array} */ news) {
    triples = news;
    series = series_of(triples, model.get("series_names"));
    draw();
  }
  function show_tip() {
    tip.hidden = cursor === null || !drawn;
    if (cursor === null || !drawn) return;
    const { frame, colours } = drawn;
    const rows = series.flatMap(({ name, steps, values }, i) => {
      const at = nearest(steps, /** @type {number} */ (cursor));
      if (at < 0) return [];
      const swatch = element("i", {});
      swatch.style.background = colours[i];
      const beside = steps[at] === cursor ? "" : ` at ${steps[at].toLocaleString("en-US")}`;
      const smooth = smoothed(values, model.get("smoothing"));
      const raw = smooth !== values ? [element("span", { class: "llm-raw" }, `of ${number_text(values[at], 4)}`)] : [];
      return [element("div", {}, swatch, element("span", {}, `${name}${beside}`), element("b", {}, number_text(smooth[at], 4)), ...raw)];
    });
    tip.replaceChildren(element("div", { class: "llm-step" }, `step ${cursor.toLocaleString("en-US")}`), ...rows);
    const x = x_px(frame, cursor);
    tip.style.left = `${x + 14 + tip.offsetWidth > canvas.clientWidth ? x - 14 - tip.offsetWidth : x + 14}px`;
  }
  /** Puts the cursor on the step nearest to `step` that any series has. */
  function point_at(/** @type {number} */ step) {
    const near = series.map(({ steps }) => steps[nearest(steps, step)]).filter((at) => at !== undefined);
    cursor = near.length ? near.reduce((best, at) => (Math.abs(at - step) < Math.abs(best - step) ? at : best)) : null;
    draw();
  }
  canvas.onpointermove = (event) => {
    if (!drawn) return;
    const { left, right, x } = drawn.frame;
    point_at(x[0] + ((event.offsetX - left) / (right - left)) * (x[1] - x[0]));
  };
  canvas.onpointerleave = canvas.onblur = () => {
    cursor = null;
    draw();
  };
  canvas.onkeydown = (event) => {
    const longest = series.reduce((best, one) => (one.steps.length > best.length ? one.steps : best), /** @type {number[]} */ ([]));
    const at = cursor === null ? longest.length - 1 : nearest(longest, cursor);
    const stride = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: at - stride, ArrowRight: at + stride, Home: 0, End: longest.length - 1 }[event.key];
    if (to === undefined || !longest.length) {
      if (event.key === "Escape") canvas.blur();
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
    point_at(longest[Math.min(longest.length - 1, Math.max(0, to))]);
    const words = series.map(({ name, steps, values }) => `${name} ${number_text(values[nearest(steps, cursor ?? 0)] ?? NaN, 4)}`);
    around.spoken.textContent = `step ${cursor}: ${words.join(", ")}`;
  };

  const received = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
    if (!Number.isInteger(message?.points_from) || !buffers?.length) return;
    const whole = joined(triples, message.points_from, floats_of(buffers[0]));
    if (whole) take(whole);
  };
  const synced = () => {
    if (bytes_of(model.get("history")).byteLength >= 4 * triples.length) take(floats_of(model.get("history")));
  };
  const renamed = () => take(triples);
  const changed = () => {
    around.update();
    draw();
  };
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [
    ["msg:custom", received],
    ["change:history", synced],
    ["change:series_names", renamed],
    ...["title", "status", "progress", "log_scale", "smoothing"].map((name) => /** @type {[string, () => void]} */ ([`change:${name}`, changed])),
  ];
  for (const [event, callback] of listeners) model.on(event, callback);
  const unwatch = on_theme_or_size(root, draw);
  changed();
  return () => {
    unwatch();
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}

export default { render };
