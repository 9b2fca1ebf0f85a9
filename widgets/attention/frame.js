import { fitted, once_a_frame } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { bytes_of } from "../shared/numbers.js";
import { on_theme_or_size, theme_at } from "../shared/theme.js";
import { colour_tables, weights_picture } from "./colours.js";
import { head_grid } from "./heads.js";
import { requests_of } from "./requests.js";
import { silence_panel } from "./silence.js";
import { KINDS, SEGMENT_NAMES, VIEW_NAMES, head_name } from "./state.js";
import { tile_painter } from "./tiles.js";
import { cross_view } from "./view_cross.js";
import { diff_view } from "./view_diff.js";
import { lines_view } from "./view_lines.js";
import { map_view } from "./view_map.js";
import { neuron_view } from "./view_neuron.js";
import { steps_view } from "./view_steps.js";

// The frame around the views: what they share, the tabs, the heads at the side, and the keys that
// work everywhere.

/**
 * @typedef {import("./attention_explorer.js").Traits} Traits
 * @typedef {import("./state.js").Selection} Selection
 * @typedef {import("./state.js").ViewName} ViewName
 * @typedef {import("./state.js").Panel} Panel
 * @typedef {{ source: number, kind: string }} Place
 * @typedef {{ root: HTMLElement, draw: () => void, focus: () => void, about: () => string }} View
 */

const SIDE_BY_SIDE_FROM_PX = 760;
const SIDE_SHARE = 0.42;
const IS_A_MAP = new Set(["map", "steps"]);

/**
 * What the views share: the state, and what may be done to it.
 * @param {import("../shared/elements.js").Model<Traits>} model @param {HTMLElement} root
 */
function explorer_of(model, root) {
  const redraw = once_a_frame(() => root.isConnected && explorer.draw());
  const selection = () => model.get("selection");
  const sources = () => model.get("sources");
  const panel = (/** @type {Place} */ { source, kind } = selection()) =>
    sources()[source].panels.find((one) => one.kind === kind) ?? sources()[source].panels[0];
  const rows = (/** @type {Place} */ place = selection()) => model.get("tokens")[panel(place).rows];
  const columns = (/** @type {Place} */ place = selection()) =>
    model.get("tokens")[panel(place).columns];
  const size = (/** @type {number} */ source, /** @type {string} */ kind) => ({
    rows: rows({ source, kind }).length,
    columns: columns({ source, kind }).length,
  });
  const requests = requests_of(model, size, redraw);
  const tables = colour_tables();
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  const explorer = {
    requests,
    redraw,
    selection,
    sources,
    panel,
    rows,
    columns,
    spoken,
    painter: tile_painter(requests, (source, kind) => ({
      ...panel({ source, kind }),
      size: size(source, kind),
    })),
    draw: () => {}, // set by render, which knows the views
    /** Escape in a view: back to the heads. */ leave: () => {},
    head: () => ({
      source: selection().source,
      kind: selection().kind,
      layer: selection().layer,
      head: selection().head,
    }),
    measures: () => sources()[selection().source].measures,
    source_name: (/** @type {number} */ i) => model.get("step_names")[i] ?? sources()[i].title,
    theme: () => theme_at(root),
    tables: () => tables(theme_at(root).background),
    exact_rows: () => model.get("live"),
    can_predict: () => model.get("can_predict") && selection().source === sources().length - 1,
    /** Why something is not there. */
    waiting_text() {
      if (requests.failure()) return requests.failure();
      if (requests.is_waiting()) return "waiting for the kernel…";
      return model.get("live")
        ? ""
        : "This file holds this head pooled, too coarse for single tokens.";
    },
    /** For people who listen. */ tell: (/** @type {string} */ text) =>
      void (spoken.textContent = text),
    select(/** @type {Partial<Selection>} */ part) {
      model.set("selection", settled({ ...selection(), ...part }));
      // asked a frame before it is drawn, and before Python is told
      if (IS_A_MAP.has(selection().view)) requests.picture(explorer.head());
      model.save_changes();
    },
    toggle_head(/** @type {{ layer: number, head: number }} */ { layer, head }) {
      const { heads } = selection();
      const others = heads.filter(([l, h]) => l !== layer || h !== head);
      explorer.select({ heads: others.length < heads.length ? others : [...heads, [layer, head]] });
      explorer.tell(
        `${head_name({ layer, head })} ${others.length < heads.length ? "left out" : "added"}`,
      );
    },
    toggle_silence() {
      const { kind, layer, head, silenced } = selection();
      const others = silenced.filter(([k, l, h]) => k !== kind || l !== layer || h !== head);
      explorer.select({
        silenced: others.length < silenced.length ? others : [...silenced, [kind, layer, head]],
      });
    },
    enlarge() {
      explorer.select({ view: "map" });
      explorer.focus_view();
    },
    /** Puts the keyboard into the view. */ focus_view: () => {},
  };
  /**
   * A selection whose parts fit each other: the head is one of the panel's, the tokens are the
   * panel's.
   */
  function settled(/** @type {Selection} */ wanted) {
    const { layers, heads } = panel(wanted);
    const inside = {
      layer: Math.min(wanted.layer, layers - 1),
      head: Math.min(wanted.head, heads - 1),
    };
    const is_other =
      wanted.kind !== selection().kind || rows(wanted) !== rows() || columns(wanted) !== columns();
    return {
      ...wanted,
      ...inside,
      kind: panel(wanted).kind,
      ...(is_other ? { rows: [], columns: [], heads: [], against: null, step: null } : {}),
    };
  }
  return explorer;
}

/** @typedef {ReturnType<typeof explorer_of>} Explorer */

/**
 * A row of buttons of which one is chosen; arrows go from one to the next.
 * @param {string} label @param {(name: string) => void} choose
 */
function tab_row(label, choose) {
  const root = element("div", { class: "llm-tabs", role: "tablist", "aria-label": label });
  root.onkeydown = (event) => {
    const all = /** @type {HTMLElement[]} */ ([...root.children]);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const to = all[(all.findIndex((tab) => tab.tabIndex === 0) + step + all.length) % all.length];
    choose(to.dataset.name ?? "");
    to.focus();
  };
  return {
    root,
    /** @param {[string, string][]} names with their texts @param {string} chosen */
    draw(names, chosen) {
      root.hidden = names.length < 2;
      if (root.dataset.names !== String(names)) {
        root.dataset.names = String(names);
        root.replaceChildren(
          ...names.map(([name, text]) => {
            const tab = element("button", { type: "button", role: "tab", "data-name": name }, text);
            tab.onclick = () => choose(name);
            return tab;
          }),
        );
      }
      for (const tab of /** @type {HTMLElement[]} */ ([...root.children])) {
        tab.setAttribute("aria-selected", String(tab.dataset.name === chosen));
        tab.tabIndex = tab.dataset.name === chosen ? 0 : -1;
      }
    },
  };
}

/**
 * A select that is only there when there is a choice.
 * @param {string} label
 * @param {(value: string) => void} choose
 */
function choice(label, choose) {
  const root = element("select", { "aria-label": label });
  root.onchange = () => choose(root.value);
  return {
    root,
    /** @param {[string, string][]} options values with their texts @param {string} chosen */
    draw(options, chosen) {
      root.hidden = options.length < 2;
      if (root.dataset.options !== String(options)) {
        root.dataset.options = String(options);
        root.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
      }
      root.value = chosen;
    },
  };
}

/**
 * The colours from weight 0 to 1 with the weights they stand for; steps are those of the square
 * root.
 * @param {Explorer} explorer
 */
function colour_scale(explorer) {
  const scale = element("canvas", { "aria-hidden": "true" });
  const marks = [0, 0.1, 0.5, 1].map((weight) => {
    const mark = element("span", {}, String(weight));
    mark.style.left = `${100 * Math.sqrt(weight)}%`;
    return mark;
  });
  const root = element(
    "div",
    { class: "llm-legend" },
    scale,
    element("div", { class: "llm-marks" }, ...marks),
  );
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  return {
    root,
    draw: () =>
      fitted(scale, 160, 6).drawImage(
        weights_picture(all, 256, 1, explorer.tables().weights),
        0,
        0,
        160,
        6,
      ),
  };
}

/**
 * The views that say something about these sources and this panel.
 * @param {Explorer} explorer
 * @returns {[string, string][]}
 */
export function views_of(explorer) {
  const [{ view }, panel, sources] = [explorer.selection(), explorer.panel(), explorer.sources()];
  const is_there = /** @type {Partial<Record<ViewName, boolean>>} */ ({
    diff: sources.length > 1 || panel.heads * panel.layers > 1,
    steps: sources.length > 1 || panel.first_step !== null,
    neuron: explorer.exact_rows(),
  });
  return Object.entries(VIEW_NAMES).filter(
    ([name]) => name === view || (is_there[/** @type {ViewName} */ (name)] ?? true),
  );
}

/** @param {{ model: import("../shared/elements.js").Model<Traits>, el: HTMLElement }} host */
export function render({ model, el }) {
  const root = element("div", { class: "llm-attention-explorer" });
  const explorer = explorer_of(model, root);
  model.get("atlases").forEach((atlases, source) =>
    atlases.forEach((atlas, i) => {
      if (bytes_of(atlas).length)
        explorer.requests.give_atlas(
          source,
          explorer.sources()[source].panels[i].kind,
          bytes_of(atlas),
        );
    }),
  );
  const grid = head_grid(explorer);
  const silence = silence_panel(explorer);
  const scale = colour_scale(explorer);
  const views = /** @type {Record<string, View>} */ ({
    map: map_view(explorer),
    lines: lines_view(explorer),
    cross: cross_view(explorer),
    neuron: neuron_view(explorer),
    diff: diff_view(explorer),
    steps: steps_view(explorer),
  });
  const view_tabs = tab_row("view", (view) =>
    explorer.select({ view: /** @type {ViewName} */ (view) }),
  );
  const kind_tabs = tab_row("kind of attention", (kind) => explorer.select({ kind }));
  const source = choice("source", (value) => explorer.select({ source: Number(value) }));
  const segment = choice("parts of the text pair", (value) =>
    explorer.select({ segment: /** @type {Selection["segment"]} */ (value) }),
  );
  const title = element("div", { class: "llm-title", dir: "auto" });
  const name = element("div", { class: "llm-name" });
  const note = element("div", { class: "llm-note", role: "status" });
  const side = element("div", { class: "llm-side" }, grid.root, scale.root);
  const main = element(
    "div",
    { class: "llm-main" },
    ...Object.values(views).map((view) => view.root),
  );
  const bar = element(
    "div",
    { class: "llm-bar" },
    view_tabs.root,
    kind_tabs.root,
    source.root,
    segment.root,
  );
  root.append(
    title,
    bar,
    element("div", { class: "llm-head-line" }, name, silence.buttons),
    element("div", { class: "llm-columns" }, side, main),
    silence.lists,
    note,
    explorer.spoken,
  );
  el.append(root);

  explorer.leave = grid.focus;
  explorer.focus_view = () =>
    requestAnimationFrame(() =>
      requestAnimationFrame(() => views[explorer.selection().view]?.focus()),
    );
  explorer.draw = () => {
    const [selection, width] = [explorer.selection(), root.clientWidth];
    const is_overview = selection.view === "overview";
    const panel = explorer.panel();
    title.textContent = model.get("title");
    view_tabs.draw(views_of(explorer), selection.view);
    kind_tabs.draw(
      explorer
        .sources()
        [selection.source].panels.map(({ kind }) => [kind, KINDS[kind]?.title ?? kind]),
      selection.kind,
    );
    source.draw(
      selection.view === "steps"
        ? []
        : explorer.sources().map((_, i) => [String(i), explorer.source_name(i)]),
      String(selection.source),
    );
    const is_pair = panel.row_segments?.includes(1) || panel.column_segments?.includes(1);
    segment.draw(is_pair ? Object.entries(SEGMENT_NAMES) : [], selection.segment);
    main.hidden = is_overview;
    for (const [of, view] of Object.entries(views)) view.root.hidden = of !== selection.view;
    const is_wide = width >= SIDE_BY_SIDE_FROM_PX;
    grid.draw(is_overview, is_overview || !is_wide ? width : width * SIDE_SHARE);
    scale.draw();
    name.replaceChildren(
      element("b", {}, `layer ${selection.layer} · head ${selection.head}`),
      element("span", {}, views[selection.view]?.about() ?? ""),
    );
    if (!is_overview) views[selection.view].draw();
    silence.draw();
    note.textContent = explorer.requests.failure();
    root.dataset.view = selection.view;
  };
  root.onkeydown = (event) => {
    const is_writing =
      event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (
      event.key !== "s" ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      is_writing ||
      !explorer.can_predict()
    )
      return;
    event.preventDefault();
    event.stopPropagation();
    explorer.toggle_silence();
  };
  const selected = () => {
    explorer.requests.forget_failures();
    explorer.redraw();
  };
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [
    ["change:selection", selected],
    ["change:title", explorer.redraw],
    ["msg:custom", explorer.requests.receive],
  ];
  for (const [event, callback] of listeners) model.on(event, callback);
  const unwatch = on_theme_or_size(root, explorer.redraw);
  explorer.redraw();
  return () => {
    unwatch();
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}
