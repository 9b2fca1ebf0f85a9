import { fitted, once_a_frame } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { nice_ticks, number_text } from "../shared/numbers.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";
import THEME from "../shared/theme.json" with { type: "json" };

// A search for settings as it goes on: a small curve a trial, and what goes with what.

/**
 * @typedef {{
 *   title: string,
 *   status: "running" | "stopping" | "finished" | "interrupted" | "failed",
 *   stoppable: boolean,
 *   summary: string,
 *   metric: string,
 *   axes: Axis[],
 *   trials: Trial[],
 *   importance: [string, number][],
 * }} Traits
 * @typedef {{ name: string, ticks: [number, string][] }} Axis
 * @typedef {{
 *   number: number, label: string, state: string, state_text: string, value: number | null,
 *   value_text: string, best: boolean, rank: number, caption: string, places: number[],
 *   steps: number[], losses: (number | null)[], total_steps: number, note: string,
 * }} Trial
 * @typedef {{ last: number, low: number, high: number, log: boolean }} Scale
 * @typedef {[number, number]} Point
 */

const CURVE_PX = 84;
const PARALLEL_PX = 230;
const WAIT_MS = 15_000;
const REACH_PX = 14;
const BOARD_STATUS = {
  running: "running",
  stopping: "stopping…",
  finished: "finished",
  interrupted: "stopped",
  failed: "failed",
};
/**
 * The scale that all curves share; logarithmic where one trial that went astray would flatten the
 * others.
 * @param {Trial[]} trials
 * @returns {Scale}
 */
export function scale_of(trials) {
  const losses = trials.flatMap((trial) => trial.losses).filter((loss) => loss !== null);
  const [low, high] = losses.length ? [Math.min(...losses), Math.max(...losses)] : [0, 1];
  const log = low > 0 && high > 8 * low;
  const air = log ? 1.05 : 0.05 * (high - low) || Math.max(Math.abs(high) / 2, 1e-6);
  const last = Math.max(
    1,
    ...trials.map(({ total_steps, steps }) => Math.max(total_steps, ...steps.slice(-1))),
  );
  return log
    ? { last, low: low / air, high: high * air, log }
    : { last, low: low - air, high: high + air, log };
}

/** Where a loss lies: 0 at the bottom, 1 at the top. @param {Scale} scale @param {number} loss */
export function height_at({ low, high, log }, loss) {
  return log ? Math.log(loss / low) / Math.log(high / low) : (loss - low) / (high - low);
}

/**
 * The points of a curve in a box, those without a value left out.
 * @param {Trial} trial
 * @param {Scale} scale
 * @param {{ left: number, right: number, top: number, bottom: number }} box
 * @returns {Point[]}
 */
export function curve_points({ steps, losses }, scale, { left, right, top, bottom }) {
  return steps.flatMap((step, i) => {
    const loss = losses[i];
    return loss === null || loss === undefined
      ? []
      : [
          /** @type {Point} */ ([
            left + (step / scale.last) * (right - left),
            bottom - height_at(scale, loss) * (bottom - top),
          ]),
        ];
  });
}

/**
 * How far a point is from a line through `points`, in the units of both.
 * @param {Point} point @param {Point[]} points
 */
export function distance_to([x, y], points) {
  let least = Infinity;
  for (let i = 0; i + 1 < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i], points[i + 1]];
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const at = length
      ? Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length))
      : 0;
    least = Math.min(least, Math.hypot(x - x0 - at * (x1 - x0), y - y0 - at * (y1 - y0)));
  }
  return least;
}

/**
 * The places of a trial on all axes, its value being the last one.
 * @param {Trial} trial @param {[number, number]} range of the values
 */
export const all_places = ({ places, value }, [low, high]) => [
  ...places,
  high > low ? ((value ?? low) - low) / (high - low) : 0.5,
];

/**
 * The colour of a curve says what its words say, too.
 * @param {string} state @param {boolean} dark @param {string} otherwise
 */
function state_colour(state, dark, otherwise) {
  const number = /** @type {Record<string, number | null>} */ (THEME.states)[state] ?? null;
  return number === null ? otherwise : THEME.series[dark ? "dark" : "light"][number];
}

/**
 * A button that says so until what it asks for has happened, or for a while.
 * @param {string} text
 * @param {string} title
 * @param {() => void} act
 */
function stop_button(text, title, act) {
  const button = element("button", { type: "button", class: "llm-stop", title }, text);
  let timer = 0;
  function free() {
    window.clearTimeout(timer);
    [button.disabled, button.textContent] = [false, text];
  }
  button.onclick = () => {
    act();
    [button.disabled, button.textContent] = [true, "Stopping…"];
    timer = window.setTimeout(free, WAIT_MS);
  };
  return { button, free };
}

/**
 * One trial: state, curve, settings, and a way to stop it.
 * @param {number} number
 * @param {{ stop: (number: number) => void, pointed: (number: number | null) => void }} does
 */
function trial_card(number, { stop, pointed }) {
  const name = element("b", {});
  const state = element("span", { class: "llm-state" });
  const stopping = stop_button(
    "Stop",
    "End this trial after the current step; it is not taken up again",
    () => stop(number),
  );
  const canvas = element("canvas", { role: "img" });
  const value = element("div", { class: "llm-value" });
  const caption = element("div", { class: "llm-caption", dir: "auto" });
  const note = element("div", { class: "llm-caption llm-why", dir: "auto" });
  const root = element(
    "div",
    { class: "llm-trial", role: "listitem" },
    element("div", { class: "llm-trial-head" }, name, state, stopping.button),
    canvas,
    value,
    caption,
    note,
  );
  root.onpointerenter = () => pointed(number);
  root.onpointerleave = () => pointed(null);
  /** @type {Trial | null} */
  let trial = null;
  /** @type {Scale} */
  let scale = { last: 1, low: 0, high: 1, log: false };
  const box = () => ({ left: 36, right: root.clientWidth - 12, top: 6, bottom: CURVE_PX - 6 });

  function update(
    /** @type {Trial} */ news,
    /** @type {Scale} */ of_all,
    /** @type {string} */ metric,
    /** @type {boolean} */ stoppable,
  ) {
    if (trial?.state !== news.state) stopping.free();
    [trial, scale] = [news, of_all];
    name.textContent = news.best ? `${news.label} ★ best` : news.label;
    state.textContent = news.state_text;
    [root.dataset.state, root.dataset.best] = [news.state, String(news.best)];
    stopping.button.hidden = !(stoppable && (news.state === "running" || news.state === "queued"));
    stopping.button.setAttribute("aria-label", `stop trial ${news.label}`);
    say(null);
    value.dataset.metric = metric;
    caption.textContent = caption.title = news.caption;
    note.textContent = note.title = news.note;
    note.hidden = !news.note;
    draw();
  }
  /** The value, or the loss at the step that is pointed at. */
  function say(/** @type {number | null} */ at) {
    if (!trial) return;
    const metric = value.dataset.metric ?? "loss";
    if (at === null) {
      value.textContent = trial.value_text ? `${metric} ${trial.value_text}` : "–";
      return;
    }
    const loss = trial.losses[at];
    const loss_text = loss === null ? "not finite" : number_text(loss, 4);
    value.textContent = `step ${trial.steps[at].toLocaleString("en-US")}: loss ${loss_text}`;
  }
  function draw() {
    const width = root.clientWidth - 2;
    if (!trial || !canvas.isConnected || width < 60) return;
    const theme = theme_at(root);
    const context = fitted(canvas, width, CURVE_PX);
    const inside = box();
    Object.assign(context, {
      font: `10px ${theme.font}`,
      textBaseline: "middle",
      textAlign: "right",
      fillStyle: theme.muted,
      strokeStyle: theme.line,
      lineWidth: 1,
    });
    const ticks = scale.log
      ? [0.15, 0.85].map((share) => scale.low * (scale.high / scale.low) ** share)
      : nice_ticks(scale.low, scale.high, 3);
    for (const tick of ticks) {
      const y =
        Math.round(inside.bottom - height_at(scale, tick) * (inside.bottom - inside.top)) + 0.5;
      context.beginPath();
      context.moveTo(inside.left, y);
      context.lineTo(inside.right, y);
      context.stroke();
      context.fillText(number_text(tick), inside.left - 5, y);
    }
    const points = curve_points(trial, scale, inside);
    const colour = state_colour(trial.state, theme.dark, theme.muted);
    Object.assign(context, {
      strokeStyle: colour,
      fillStyle: colour,
      lineWidth: trial.best ? 2.6 : 1.7,
      lineJoin: "round",
    });
    context.setLineDash(trial.state === "pruned" || trial.state === "stopped" ? [4, 3] : []);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
    context.setLineDash([]);
    for (const [x, y] of points.slice(-1)) {
      context.beginPath();
      context.arc(x, y, 2.8, 0, 2 * Math.PI);
      context.fill();
    }
    const losses = trial.losses.filter((loss) => loss !== null);
    canvas.dataset.points = String(points.length);
    const [first, last] = [losses[0], losses[losses.length - 1]].map((loss) =>
      number_text(loss, 4),
    );
    canvas.setAttribute(
      "aria-label",
      losses.length
        ? `validation loss of ${trial.label} from ${first} to ${last}`
        : `${trial.label} has no validation loss yet`,
    );
  }
  canvas.onpointermove = (event) => {
    if (!trial?.steps.length) return;
    const { left, right } = box();
    const step = ((event.offsetX - left) / (right - left)) * scale.last;
    say(
      trial.steps.reduce(
        (best, one, i, steps) => (Math.abs(one - step) < Math.abs(steps[best] - step) ? i : best),
        0,
      ),
    );
  };
  canvas.onpointerleave = () => say(null);
  const point_out = (/** @type {boolean} */ on) => void (root.dataset.pointed = String(on));
  return { root, update, draw, point_out };
}

/**
 * Parallel coordinates: a line a complete trial through its settings to its value; the one that is
 * pointed at is told.
 * @param {{ told: (text: string) => void, pointed: (number: number | null) => void }} does
 */
function parallel_plot({ told, pointed }) {
  const canvas = element("canvas", {
    class: "llm-parallel",
    tabindex: 0,
    role: "img",
    "aria-label": "settings of the complete trials; arrow keys go from the best to the worst",
  });
  const readout = element("div", { class: "llm-readout", dir: "auto" });
  const root = element(
    "div",
    { class: "llm-coordinates" },
    element("h4", {}, "Settings of the complete trials"),
    canvas,
    readout,
  );
  /** @type {Trial[]} */
  let trials = [];
  /** @type {Axis[]} */
  let axes = [];
  let metric = "loss";
  /** @type {number | null} */
  let chosen = null;

  const range = () =>
    /** @type {[number, number]} */ ([
      Math.min(...trials.map(({ value }) => value ?? Infinity)),
      Math.max(...trials.map(({ value }) => value ?? -Infinity)),
    ]);
  const xs = () =>
    [...axes, null].map((_, i) => 40 + (i * (canvas.clientWidth - 100)) / Math.max(1, axes.length));
  const y_at = (/** @type {number} */ place) => PARALLEL_PX - 14 - place * (PARALLEL_PX - 54);
  const line = (/** @type {Trial} */ trial) =>
    all_places(trial, range()).map((place, i) => /** @type {Point} */ ([xs()[i], y_at(place)]));

  function draw() {
    const width = root.clientWidth;
    root.hidden = trials.length < 2;
    if (!canvas.isConnected || width < 100 || root.hidden) return;
    const theme = theme_at(root);
    const context = fitted(canvas, width, PARALLEL_PX);
    const best = trials.find((trial) => trial.best);
    const first = trials.find(({ number }) => number === chosen);
    const order = [...trials].sort((a, b) => b.rank - a.rank);
    order.forEach((trial, i) => {
      const strong = trial === best || trial === first;
      Object.assign(context, {
        strokeStyle:
          trial === first
            ? theme.ink
            : trial === best
              ? state_colour("complete", theme.dark, theme.ink)
              : theme.accent,
        globalAlpha: strong ? 1 : (first ? 0.4 : 1) * (0.15 + (0.6 * (i + 1)) / order.length),
        lineWidth: strong ? 2.8 : 1.4,
        lineJoin: "round",
      });
      context.beginPath();
      for (const [x, y] of line(trial)) context.lineTo(x, y);
      context.stroke();
    });
    context.globalAlpha = 1;
    const [low, high] = range();
    const values = /** @type {[number, string][]} */ (
      high > low
        ? [
            [0, number_text(low, 4)],
            [1, number_text(high, 4)],
          ]
        : [[0.5, number_text(low, 4)]]
    );
    [...axes, { name: metric, ticks: values }].forEach(({ name, ticks }, i) => {
      const x = xs()[i];
      Object.assign(context, {
        strokeStyle: theme.muted,
        fillStyle: theme.ink,
        lineWidth: 1,
        textAlign: "center",
        textBaseline: "alphabetic",
        font: `600 11.5px ${theme.font}`,
      });
      context.beginPath();
      context.moveTo(x, y_at(0));
      context.lineTo(x, y_at(1));
      context.stroke();
      context.fillText(name, x, 20);
      Object.assign(context, {
        textAlign: "left",
        textBaseline: "middle",
        font: `10.5px ${theme.font}`,
        lineWidth: 3,
        strokeStyle: `rgb(${theme.background.join(",")})`,
      });
      for (const [place, text] of ticks) {
        context.strokeText(text, x + 5, y_at(place));
        context.fillText(text, x + 5, y_at(place));
      }
    });
    const shown = first ?? best;
    const name = shown ? `${shown.label}${shown.best ? " ★ best" : ""}` : "";
    readout.textContent = shown ? `${name}: ${metric} ${shown.value_text}, ${shown.caption}` : "";
  }
  function choose(/** @type {number | null} */ number) {
    if (chosen === number) return;
    chosen = number;
    draw();
  }
  canvas.onpointermove = ({ offsetX, offsetY }) => {
    const near = trials
      .map((trial) => ({ trial, far: distance_to([offsetX, offsetY], line(trial)) }))
      .sort((a, b) => a.far - b.far)[0];
    const number = near && near.far <= REACH_PX ? near.trial.number : null;
    choose(number);
    pointed(number);
  };
  canvas.onpointerleave = canvas.onblur = () => {
    choose(null);
    pointed(null);
  };
  canvas.onkeydown = (event) => {
    const order = [...trials].sort((a, b) => a.rank - b.rank);
    const at = order.findIndex(({ number }) => number === chosen);
    const to = {
      ArrowLeft: Math.max(0, at - 1),
      ArrowUp: Math.max(0, at - 1),
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      Home: 0,
      End: order.length - 1,
    }[event.key];
    if (to === undefined || !order.length) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
    const trial = order[Math.min(order.length - 1, to)];
    choose(trial.number);
    pointed(trial.number);
    told(readout.textContent ?? "");
  };
  function update(
    /** @type {Trial[]} */ all,
    /** @type {Axis[]} */ of,
    /** @type {string} */ looked_for,
  ) {
    [trials, axes, metric] = [
      all.filter(({ places, value }) => places.length && value !== null),
      of,
      looked_for,
    ];
    draw();
  }
  return { root, update, draw, choose };
}

/** Bars of how much each setting matters. */
function importance_bars() {
  const rows = element("dl", { class: "llm-bars" });
  const root = element(
    "div",
    { class: "llm-importance" },
    element("h4", {}, "Which setting matters"),
    rows,
  );
  function update(/** @type {[string, number][]} */ importance) {
    root.hidden = !importance.length;
    rows.replaceChildren(
      ...importance.flatMap(([name, share]) => {
        const bar = element("i", {});
        bar.style.width = `${Math.max(0.5, 100 * share)}%`;
        return [
          element("dt", {}, name),
          element(
            "dd",
            {},
            element("span", { class: "llm-track" }, bar),
            element("span", {}, `${Math.round(100 * share)} %`),
          ),
        ];
      }),
    );
  }
  return { root, update };
}

/** @param {{ model: import("../shared/elements.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const title = element("span", { class: "llm-title", dir: "auto" });
  const status = element("span", { class: "llm-status" });
  const stopping = stop_button(
    "Stop search",
    "End the search after the current step; the trial under way can be taken up again",
    () => model.send({ do: "stop" }),
  );
  const summary = element("div", { class: "llm-summary", dir: "auto" });
  const grid = element("div", { class: "llm-trials", role: "list", "aria-label": "trials" });
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  /** @type {Map<number, ReturnType<typeof trial_card>>} */
  const cards = new Map();
  const bars = importance_bars();
  const plot = parallel_plot({
    told: (text) => void (spoken.textContent = text),
    pointed: (number) => cards.forEach((card, of) => card.point_out(of === number)),
  });
  const root = element(
    "div",
    { class: "llm-tuning-board" },
    element("div", { class: "llm-head" }, title, status, stopping.button),
    summary,
    grid,
    bars.root,
    plot.root,
    spoken,
  );
  el.append(root);

  function update() {
    const [trials, now, stoppable] = [
      model.get("trials"),
      model.get("status"),
      model.get("stoppable"),
    ];
    title.textContent = model.get("title");
    status.textContent = BOARD_STATUS[now];
    if (status.dataset.status !== now) spoken.textContent = model.get("summary");
    status.dataset.status = now;
    if (now === "stopping")
      [stopping.button.disabled, stopping.button.textContent] = [true, "Stopping…"];
    stopping.button.hidden = !stoppable || !(now === "running" || now === "stopping");
    summary.textContent = model.get("summary");
    const scale = scale_of(trials);
    for (const trial of trials) {
      let card = cards.get(trial.number);
      if (!card) {
        card = trial_card(trial.number, {
          stop: (number) => model.send({ do: "stop_trial", trial: number }),
          pointed: (number) => plot.choose(number),
        });
        cards.set(trial.number, card);
        grid.append(card.root);
      }
      card.update(
        trial,
        scale,
        model.get("metric").replaceAll("_", " "),
        stoppable && now === "running",
      );
    }
    for (const [number, card] of cards)
      if (!trials.some((trial) => trial.number === number)) {
        card.root.remove();
        cards.delete(number);
      }
    bars.update(model.get("importance"));
    plot.update(trials, model.get("axes"), model.get("metric").replaceAll("_", " "));
  }
  const later = once_a_frame(update);
  const names = [
    "title",
    "status",
    "stoppable",
    "summary",
    "metric",
    "axes",
    "trials",
    "importance",
  ];
  for (const name of names) model.on(`change:${name}`, later);
  const unwatch = on_theme_or_size(root, () => {
    cards.forEach((card) => card.draw());
    plot.draw();
  });
  update();
  return () => {
    unwatch();
    for (const name of names) model.off(`change:${name}`, later);
  };
}

export default { render };
