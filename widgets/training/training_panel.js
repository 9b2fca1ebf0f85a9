import { element } from "../shared/elements.js";
import { bytes_of, duration_text, floats_of, number_text } from "../shared/numbers.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";
import { chart, line_colour, small_charts } from "./charts.js";
import { layer_maps, layers_of } from "./layer_maps.js";
import { empty_store, series_in, take_points } from "./points.js";
import {
  attention_view,
  samples_table,
  step_slider,
  steps_of,
  with_snapshot,
} from "./snapshots.js";

// A training as it goes on: figures, curves, layers, samples, attention, and its controls.

/**
 * @typedef {{
 *   title: string,
 *   status: "running" | "paused" | "stopping" | "finished" | "interrupted" | "failed",
 *   progress: Progress,
 *   levers: string[],
 *   series_names: string[][],
 *   history: DataView,
 *   snapshots: import("./snapshots.js").Snapshot[],
 *   marks: import("./charts.js").Mark[],
 *   log_scale: boolean,
 *   smoothing: number,
 * }} Traits
 * @typedef {{
 *   step?: number, total_steps?: number, epoch?: number, total_epochs?: number, eta_s?: number,
 *   tokens_per_s?: number, learning_rate?: number, rate_factor?: number, padding?: number,
 *   checkpoint?: number, note?: string, memory?: string,
 * }} Progress
 * @typedef {import("./points.js").Series} Series
 * @typedef {import("./charts.js").Line} Line
 * @typedef {{
 *   name: string, root: HTMLElement, has: () => boolean, update: () => void, slides?: boolean,
 *   of_one_run?: boolean,
 * }} Tab
 */

const LOSS_PX = 260;
const SMALL_PX = 136;
const WAIT_MS = 15_000;
const STATUS = {
  running: "running",
  paused: "paused",
  stopping: "stopping…",
  finished: "finished",
  interrupted: "interrupted",
  failed: "failed",
};
const RATES = {
  learning_rate: "learning rate",
  gradient_norm: "gradient norm",
  tokens_per_s: "tokens per second",
};
const LAYER_GROUPS = ["gradient_norm", "activation_std", "activation_mean"];

/** @param {string} name a metric's or a rate's */
export const spoken_name = (name) =>
  RATES[/** @type {keyof RATES} */ (name)] ?? name.replaceAll("_", " ");

/**
 * What stands in the row of figures: [name, value] in this order, and only what is known.
 * @param {Progress} progress @param {boolean} running
 * @returns {[string, string][]}
 */
export function figures_of(
  { step, total_steps, epoch, total_epochs, eta_s, tokens_per_s, learning_rate, padding },
  running,
) {
  const count = (/** @type {number} */ value) => value.toLocaleString("en-US");
  /** @type {[string, string | false][]} */
  const all = [
    ["step", step != null && `${count(step)}${total_steps ? ` / ${count(total_steps)}` : ""}`],
    [
      "epoch",
      epoch != null && `${Number(epoch.toFixed(2))}${total_epochs ? ` / ${total_epochs}` : ""}`,
    ],
    ["left", running && eta_s != null && duration_text(eta_s)],
    ["tokens/s", tokens_per_s != null && count(Math.round(tokens_per_s))],
    ["learning rate", learning_rate != null && number_text(learning_rate)],
    ["padding", padding != null && `${number_text(100 * padding, 2)} %`],
  ];
  return /** @type {[string, string][]} */ (all.filter(([, value]) => value));
}

/**
 * Lines of a chart out of series. Of one run the lines differ in colour, of several the runs do.
 * @param {Series[]} series
 * @param {string[]} runs all that there are
 * @param {Set<string>} hidden
 * @param {number} [first] colour
 * @returns {Line[]}
 */
export function lines_of(series, runs, hidden, first = 0) {
  const several = runs.length > 1;
  return series
    .filter(({ run }) => !hidden.has(run))
    .map(({ run, group, name, steps, values }, i) => {
      const train = name === "train";
      const noisy = train || (group === "rate" && name !== "learning_rate");
      const alone =
        series.length === 1 ||
        (several && series.filter((other) => other.run === run).length === 1);
      const label = several ? (alone ? run : `${run} ${spoken_name(name)}`) : spoken_name(name);
      const end = several || alone ? "" : name;
      return {
        name: label,
        end,
        colour: several ? runs.indexOf(run) : first + i,
        thin: train && !alone,
        noisy,
        raw: !several,
        steps,
        values,
      };
    });
}

/** The factor as people read it: "× 1", "× 0.25". @param {number} factor */
export const factor_text = (factor) => `× ${number_text(factor, 3)}`;

/**
 * Buttons that ask for something and say so until it has happened, or for a while.
 * @param {import("../shared/elements.js").Model<Traits>} model
 */
function lever_buttons(model) {
  const button = (
    /** @type {string} */ name,
    /** @type {string} */ title,
    /** @type {string} */ text,
  ) => element("button", { type: "button", class: `llm-${name}`, title }, text);
  const pause = button("pause", "Wait after the current step; a checkpoint is saved", "Pause");
  const save = button("checkpoint", "Save a checkpoint after the current step", "Checkpoint");
  const stop = button(
    "stop",
    "Stop after the current step; the model and a checkpoint are kept",
    "Stop",
  );
  const slower = button("slower", "Halve the learning rate from the next step on", "½");
  const faster = button("faster", "Double the learning rate from the next step on", "2×");
  slower.setAttribute("aria-label", "halve the learning rate");
  faster.setAttribute("aria-label", "double the learning rate");
  const factor = element("output", { title: "factor on the recipe's learning rate" });
  const rate = element(
    "span",
    { class: "llm-rate", role: "group", "aria-label": "learning rate" },
    element("span", { class: "llm-muted" }, "rate"),
    slower,
    factor,
    faster,
  );
  const root = element("div", { class: "llm-levers" }, rate, save, pause, stop);
  /** What was asked for and has not happened yet. @type {Map<string, number>} */
  const asked = new Map();
  let wanted = 1;

  function ask(/** @type {string} */ what, /** @type {object} */ more = {}) {
    model.send({ do: what, ...more });
    window.clearTimeout(asked.get(what));
    asked.set(
      what,
      window.setTimeout(() => done(what), WAIT_MS),
    );
    update();
  }
  function done(/** @type {string} */ what) {
    window.clearTimeout(asked.get(what));
    if (asked.delete(what)) update();
  }
  const set_rate = (/** @type {number} */ times) => {
    wanted = Math.min(1024, Math.max(1 / 1024, wanted * times));
    ask("rate", { factor: wanted });
  };
  pause.onclick = () => ask(model.get("status") === "paused" ? "resume" : "pause");
  save.onclick = () => ask("checkpoint");
  stop.onclick = () => ask("stop");
  slower.onclick = () => set_rate(0.5);
  faster.onclick = () => set_rate(2);

  let saved = model.get("progress").checkpoint;
  let rated = model.get("progress").rate_factor;
  function update() {
    const status = model.get("status");
    const levers = model.get("levers");
    const { checkpoint, rate_factor } = model.get("progress");
    if (status === "paused") done("pause");
    if (status === "running") done("resume");
    if (checkpoint !== saved) [saved] = [checkpoint, done("checkpoint")];
    if (rate_factor !== rated) [rated] = [rate_factor, done("rate")];
    if (!asked.has("rate")) wanted = rate_factor ?? 1;
    const ending = status === "stopping" || asked.has("stop");
    root.hidden =
      !levers.length || !(status === "running" || status === "paused" || status === "stopping");
    pause.hidden = !levers.includes("pause");
    save.hidden = !levers.includes("checkpoint");
    stop.hidden = !levers.includes("stop");
    rate.hidden = !levers.includes("rate");
    pause.textContent = asked.has("pause")
      ? "Pausing…"
      : asked.has("resume")
        ? "Resuming…"
        : status === "paused"
          ? "Resume"
          : "Pause";
    pause.disabled = ending || asked.has("pause") || asked.has("resume");
    save.textContent = asked.has("checkpoint") ? "Saving…" : "Checkpoint";
    save.disabled = ending || asked.has("checkpoint");
    stop.textContent = ending ? "Stopping…" : "Stop";
    stop.disabled = ending;
    slower.disabled = faster.disabled = ending;
    factor.textContent = factor_text(wanted);
    factor.dataset.waiting = String(asked.has("rate"));
  }
  return { root, update };
}

/**
 * Title, state, buttons and figures.
 * @param {import("../shared/elements.js").Model<Traits>} model
 */
function panel_header(model) {
  const title = element("span", { class: "llm-title", dir: "auto" });
  const status = element("span", { class: "llm-status" });
  const levers = lever_buttons(model);
  const fill = element("div", { class: "llm-fill" });
  const bar = element(
    "div",
    { class: "llm-bar", role: "progressbar", "aria-label": "training", "aria-valuemin": 0 },
    fill,
  );
  const figures = element("div", { class: "llm-figures" });
  const note = element("div", { class: "llm-note", dir: "auto" });
  const memory = element("div", { class: "llm-note llm-memory" });
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  const root = element(
    "div",
    { class: "llm-header" },
    element("div", { class: "llm-head" }, title, status, levers.root),
    bar,
    figures,
    memory,
    note,
    spoken,
  );
  const told = (/** @type {string} */ text) => void (spoken.textContent = text);

  let last = "";
  function update() {
    const progress = model.get("progress");
    const now = model.get("status");
    const running = now === "running" || now === "stopping" || now === "paused";
    const of_one = progress.step != null || running;
    title.textContent = model.get("title");
    status.textContent = of_one ? STATUS[now] : "";
    status.hidden = !of_one;
    status.dataset.status = now;
    levers.update();
    const pairs = figures_of(progress, running);
    figures.hidden = !pairs.length;
    while (figures.children.length > pairs.length) figures.lastElementChild?.remove();
    pairs.forEach(([name, value], i) => {
      const pair =
        figures.children[i] ??
        figures.appendChild(element("div", {}, element("span", {}), element("b", {})));
      [pair.children[0].textContent, pair.children[1].textContent] = [name, value];
    });
    bar.hidden = !progress.total_steps;
    if (progress.total_steps) {
      fill.style.width = `${Math.min(100, (100 * (progress.step ?? 0)) / progress.total_steps)}%`;
      fill.dataset.status = now;
      bar.setAttribute("aria-valuemax", String(progress.total_steps));
      bar.setAttribute("aria-valuenow", String(progress.step ?? 0));
    }
    const saved =
      progress.checkpoint == null
        ? ""
        : `checkpoint at step ${progress.checkpoint.toLocaleString("en-US")}`;
    note.textContent = [progress.note, saved].filter(Boolean).join(" · ");
    note.hidden = !of_one;
    memory.textContent = progress.memory ?? "";
    memory.hidden = !progress.memory;
    if (last !== now && of_one)
      told(
        `${model.get("title")}: ${STATUS[now]}. ${pairs.map((pair) => pair.join(" ")).join(", ")}`,
      );
    last = now;
  }
  return { root, update, told };
}

/**
 * The two settings below the loss, kept in the model.
 * @param {import("../shared/elements.js").Model<Traits>} model
 */
function chart_settings(model) {
  const log = element("input", { type: "checkbox" });
  const smoothing = element("input", {
    type: "range",
    min: 0,
    max: 0.99,
    step: 0.01,
    "aria-label": "smoothing",
  });
  const amount = element("output", {});
  log.onchange = () => {
    model.set("log_scale", log.checked);
    model.save_changes();
  };
  smoothing.oninput = () => model.set("smoothing", Number(smoothing.value));
  smoothing.onchange = () => model.save_changes();
  smoothing.onkeydown = (event) => event.stopPropagation();
  const root = element(
    "div",
    { class: "llm-settings" },
    element("label", {}, log, " log scale"),
    element("label", {}, "smoothing ", smoothing, " ", amount),
  );
  function update() {
    log.checked = model.get("log_scale");
    smoothing.value = String(model.get("smoothing"));
    amount.textContent = model.get("smoothing").toFixed(2);
  }
  return { root, update };
}

/**
 * Names of the runs in their colours; each can be hidden.
 * @param {() => void} changed
 */
function run_legend(changed) {
  const root = element("div", { class: "llm-runs", role: "group", "aria-label": "runs" });
  /** @type {Set<string>} */
  const hidden = new Set();
  function update(/** @type {string[]} */ runs) {
    root.hidden = runs.length < 2;
    if (root.hidden) return;
    const dark = theme_at(root).dark;
    root.replaceChildren(
      ...runs.map((run, i) => {
        const swatch = element("i", {});
        swatch.style.background = line_colour(i, dark);
        const made = element(
          "button",
          {
            type: "button",
            "aria-pressed": String(!hidden.has(run)),
            title: hidden.has(run) ? "show" : "hide",
          },
          swatch,
          run,
        );
        made.onclick = () => {
          if (!hidden.delete(run)) hidden.add(run);
          changed();
          /** @type {HTMLElement} */ (root.children[i])?.focus();
        };
        return made;
      }),
    );
  }
  return { root, hidden, update };
}

/**
 * Tabs, of which only those with something to show are there; arrow keys go from one to the next.
 * @param {Tab[]} tabs @param {(tab: Tab) => void} chosen
 */
function tab_bar(tabs, chosen) {
  const number = Math.random().toString(36).slice(2, 9);
  const root = element("div", { class: "llm-tabs", role: "tablist" });
  let shown = tabs[0];
  const buttons = tabs.map((tab) => {
    const id = `llm-${number}-${tab.name.toLowerCase()}`;
    const made = element(
      "button",
      { type: "button", role: "tab", id, "aria-controls": `${id}-panel` },
      tab.name,
    );
    tab.root.id = `${id}-panel`;
    tab.root.setAttribute("role", "tabpanel");
    tab.root.setAttribute("aria-labelledby", id);
    made.onclick = () => show(tab);
    root.append(made);
    return made;
  });
  root.onkeydown = (event) => {
    const there = tabs.filter(({ has }) => has());
    const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    show(there[(there.indexOf(shown) + to + there.length) % there.length]);
    buttons[tabs.indexOf(shown)].focus();
  };
  function show(/** @type {Tab} */ tab) {
    shown = tab;
    update();
    chosen(tab);
  }
  function update() {
    const there = tabs.filter((tab) => tab.has() || tab === shown);
    root.hidden = there.length < 2;
    tabs.forEach((tab, i) => {
      buttons[i].hidden = !there.includes(tab);
      buttons[i].setAttribute("aria-selected", String(tab === shown));
      buttons[i].tabIndex = tab === shown ? 0 : -1;
      tab.root.hidden = tab !== shown;
    });
  }
  update();
  return { root, update, shown: () => shown };
}

/** @param {{ model: import("../shared/elements.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const header = panel_header(model);
  const settings = chart_settings(model);
  const { told } = header;
  const loss = chart({ name: "loss", height: LOSS_PX, told });
  const metrics = small_charts({ height: SMALL_PX, told });
  const rates = small_charts({ height: SMALL_PX, told });
  const layers = layer_maps({ told });
  const samples = samples_table();
  const attention = attention_view({ told });
  const legend = run_legend(() => refresh());
  const slider = step_slider({ changed: () => show_snapshots(), told });
  const which = element("select", { "aria-label": "run" });
  const choose_run = element("label", { class: "llm-which" }, "run ", which);
  which.onchange = () => refresh();

  const store = empty_store();
  /** @type {import("./snapshots.js").Snapshot[]} */
  let held = [...(model.get("snapshots") ?? [])];
  take_points(store, 0, -1, floats_of(model.get("history")));

  const in_groups = (/** @type {string[]} */ ...groups) =>
    series_in(store, model.get("series_names"), groups);
  const runs = () => [...new Set(model.get("series_names").map(([run]) => run))];
  const run = () => (runs().length > 1 ? which.value : (runs()[0] ?? ""));
  const of_kind = (/** @type {string} */ kind) =>
    held.filter((one) => one.kind === kind && one.run === run());
  const lines = (/** @type {Series[]} */ series, /** @type {number} */ first = 0) =>
    lines_of(series, runs(), legend.hidden, first);
  const by_name = (/** @type {Series[]} */ series) =>
    [...new Set(series.map(({ name }) => name))].map(
      (name) =>
        /** @type {[string, Series[]]} */ ([name, series.filter((one) => one.name === name)]),
    );

  /** @type {Tab[]} */
  const tabs = [
    {
      name: "Loss",
      root: element("div", {}, loss.root, settings.root),
      has: () => true,
      update: () =>
        loss.update(lines(in_groups("loss")), {
          log: model.get("log_scale"),
          smoothing: model.get("smoothing"),
          marks: model.get("marks").filter((mark) => !legend.hidden.has(mark.run)),
        }),
    },
    {
      name: "Metrics",
      root: element("div", {}, metrics.root),
      has: () => in_groups("metric").length > 0,
      update: () =>
        metrics.update(
          by_name(in_groups("metric")).map(([name, series], i) => [
            spoken_name(name),
            lines(series, i),
            {},
          ]),
        ),
    },
    {
      name: "Rate",
      root: element("div", {}, rates.root),
      has: () => in_groups("rate").length > 0,
      update: () =>
        rates.update(
          by_name(in_groups("rate")).map(([name, series], i) => [
            spoken_name(name),
            lines(series, i),
            { smoothing: model.get("smoothing"), log: name === "gradient_norm" },
          ]),
        ),
    },
    {
      name: "Layers",
      root: element("div", {}, layers.root),
      of_one_run: true,
      has: () => in_groups(...LAYER_GROUPS).length > 0,
      update: () =>
        layers.update(layers_of(in_groups(...LAYER_GROUPS).filter((one) => one.run === run()))),
    },
    {
      name: "Samples",
      root: element("div", {}, samples.root),
      of_one_run: true,
      slides: true,
      has: () => held.some(({ kind }) => kind === "samples"),
      update: () => show_snapshots(),
    },
    {
      name: "Attention",
      root: element("div", {}, attention.root),
      of_one_run: true,
      slides: true,
      has: () => held.some(({ kind }) => kind === "attention"),
      update: () => show_snapshots(),
    },
  ];
  const bar = tab_bar(tabs, () => refresh());
  const tools = element("div", { class: "llm-tools" }, choose_run, slider.root);
  const root = element(
    "div",
    { class: "llm-training-panel" },
    header.root,
    element("div", { class: "llm-bar-of-tabs" }, bar.root),
    legend.root,
    tools,
    ...tabs.map((tab) => tab.root),
  );
  el.append(root);

  function show_snapshots() {
    if (bar.shown().name === "Samples")
      samples.update(
        /** @type {import("./snapshots.js").Samples[]} */ (of_kind("samples")),
        slider.step(),
      );
    if (bar.shown().name === "Attention")
      attention.update(
        /** @type {import("./snapshots.js").Attention[]} */ (of_kind("attention")),
        slider.step(),
      );
  }
  /** Brings what is seen in line with what is held; what is not seen waits. */
  function refresh() {
    const names = runs();
    const tab = bar.shown();
    bar.update();
    legend.update(tab.of_one_run ? [] : names);
    if (
      names.length > 1 &&
      [...which.options].map(({ value }) => value).join("\n") !== names.join("\n")
    ) {
      const before = which.value;
      which.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
      if (names.includes(before)) which.value = before;
    }
    choose_run.hidden = !(tab.of_one_run && names.length > 1);
    slider.root.hidden = !tab.slides;
    tools.hidden = choose_run.hidden && slider.root.hidden;
    if (tab.slides) slider.update(steps_of(held.filter((one) => one.run === run())));
    tab.update();
  }

  function received(/** @type {any} */ message, /** @type {DataView[]} */ buffers) {
    const parts = [...(buffers ?? [])];
    if (Number.isInteger(message?.points_from))
      take_points(store, message.points_from, message.generation, floats_of(parts.shift()));
    const news = message?.snapshots ?? (message?.snapshot ? [message.snapshot] : []);
    if (message?.snapshots) held = [];
    for (const one of news)
      held = with_snapshot(held, one.kind === "attention" ? { ...one, maps: parts.shift() } : one);
    refresh();
  }
  /** At the end the whole is in the model; a page that has as much already keeps what it has. */
  const synced = () => {
    const bytes = bytes_of(model.get("history"));
    if (
      bytes.byteLength >= 12 * store.count &&
      take_points(store, 0, store.generation, floats_of(bytes))
    )
      refresh();
  };
  const ended = () => {
    if (model.get("snapshots").length >= held.length) held = [...model.get("snapshots")];
    refresh();
  };
  const changed = () => {
    header.update();
    settings.update();
  };
  const redrawn = () => {
    changed();
    refresh();
  };
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [
    ["msg:custom", received],
    ["change:history", synced],
    ["change:snapshots", ended],
    ...["title", "status", "progress", "levers"].map(
      (name) => /** @type {[string, () => void]} */ ([`change:${name}`, changed]),
    ),
    ...["series_names", "marks", "log_scale", "smoothing"].map(
      (name) => /** @type {[string, () => void]} */ ([`change:${name}`, redrawn]),
    ),
  ];
  for (const [event, callback] of listeners) model.on(event, callback);
  const unwatch = [
    on_theme_or_size(root, () => legend.update(bar.shown().of_one_run ? [] : runs())),
    ...[loss, metrics, rates, layers, attention].map((part) => part.unwatch),
  ];
  redrawn();
  model.send({ do: "show" }); // what came before this view was there
  return () => {
    slider.stop();
    for (const end of unwatch) end();
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}

export default { render };
