import { fitted } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { clamped, head_name, moved, order_of } from "./state.js";

// All heads of a panel as thumbnails on one canvas under a grid of buttons, in the order of a
// measure if one is chosen.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./state.js").Measure} Measure
 */

const SMALLEST_PX = 18;
const SIDE_PX = 404;
const LARGEST_PX = 104;
const LABEL_PX = 15;
const LABELLED_FROM_PX = 52;
const PREPARE_AFTER_MS = 120;

/**
 * The size of a thumbnail with its gap, when `across` stand beside each other.
 * @param {number} width available
 * @param {number} across
 * @param {number} down
 * @param {boolean} is_large the overview, not the side
 */
export function pitch_of(width, across, down, is_large) {
  if (is_large) return clamped(Math.floor((width - 30) / across), SMALLEST_PX, LARGEST_PX);
  return clamped(
    Math.floor(Math.min(SIDE_PX, width) / Math.max(across, down * 0.8)),
    SMALLEST_PX,
    64,
  );
}

/**
 * The share of a measure's range, 0…1; its own low and high where it has them, otherwise those of
 * the values.
 * @param {number} value @param {ArrayLike<number>} values @param {Measure} about
 */
export function share_of(value, values, { low, high }) {
  const known = Array.from(values).filter(Number.isFinite);
  const from = low ?? Math.min(...known);
  const to = high ?? Math.max(...known);
  return to > from && Number.isFinite(value) ? clamped((value - from) / (to - from), 0, 1) : 0;
}

/** @param {Explorer} explorer */
export function head_grid(explorer) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const cells = element("div", {
    class: "llm-cells",
    role: "grid",
    "aria-label": "attention heads",
  });
  const across = element("div", { class: "llm-across", "aria-hidden": "true" });
  const down = element("div", { class: "llm-down", "aria-hidden": "true" });
  const measure = element("select", { "aria-label": "measure of the heads" });
  const sorting = element("input", { type: "checkbox", checked: true });
  const least = element("input", {
    type: "number",
    step: "any",
    placeholder: "≥ any",
    "aria-label": "show heads with at least",
  });
  const about = element("div", { class: "llm-about" });
  const refine = element(
    "span",
    { class: "llm-refine" },
    element("label", {}, sorting, " sorted"),
    least,
  );
  const tools = element("div", { class: "llm-measure" }, measure, refine, about);
  const axes = element("div", { class: "llm-axis", "aria-hidden": "true" }, "head →  layer ↓");
  const root = element(
    "div",
    { class: "llm-heads" },
    tools,
    axes,
    element(
      "div",
      { class: "llm-grid" },
      across,
      down,
      element("div", { class: "llm-stack" }, canvas, cells),
    ),
  );
  let built = "";
  /** @type {unknown[]} */
  let drawn = [];
  let marked_as = "";
  /** @type {{ order: number[], across: number }} */
  let shown = { order: [], across: 1 };

  const head_at = (/** @type {number} */ i) => ({
    layer: Math.floor(i / explorer.panel().heads),
    head: i % explorer.panel().heads,
  });
  const buttons = () => /** @type {HTMLElement[]} */ ([...cells.querySelectorAll("button")]);
  /** The values of the chosen measure, once they have come. */
  function values() {
    const { source, kind, sort } = explorer.selection();
    return sort && explorer.measures()[sort] ? explorer.requests.measure(source, kind, sort) : null;
  }
  const is_out = (/** @type {Float32Array | null} */ of, /** @type {number} */ i) =>
    Boolean(of && least.value !== "" && !(of[i] >= Number(least.value)));

  function choose(/** @type {number} */ i) {
    const { layer, head } = head_at(i);
    explorer.select({ layer, head });
    const of = values();
    const name = `layer ${layer}, head ${head}`;
    const measure = explorer.measures()[explorer.selection().sort];
    explorer.tell(of ? `${name}, ${measure.title} ${number_text(of[i])}` : name);
  }
  function button(/** @type {number} */ i) {
    const made = element("button", {
      type: "button",
      role: "gridcell",
      tabindex: -1,
      "data-place": i,
    });
    let timer = 0;
    made.onclick = (event) => {
      if (event.shiftKey || event.ctrlKey || event.metaKey) return explorer.toggle_head(head_at(i));
      choose(i);
      if (event.detail === 2) explorer.enlarge();
    };
    made.onpointerenter = () =>
      (timer = window.setTimeout(
        () => explorer.requests.picture({ ...explorer.head(), ...head_at(i) }),
        PREPARE_AFTER_MS,
      ));
    made.onpointerleave = () => window.clearTimeout(timer);
    return made;
  }
  cells.onkeydown = (event) => {
    const place = Number(/** @type {HTMLElement} */ (event.target).dataset.place);
    const at = shown.order.indexOf(place);
    const to = moved(event.key, at, shown.order.length, shown.across);
    if (to !== null) {
      choose(shown.order[to]);
      buttons()[to]?.focus();
    } else if (event.key === "Enter") explorer.enlarge();
    else if (event.key === " ") explorer.toggle_head(head_at(place));
    else return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
  };
  measure.onchange = () => explorer.select({ sort: measure.value });
  sorting.onchange = least.oninput = explorer.redraw;
  least.onkeydown = measure.onkeydown = (event) => event.stopPropagation();

  /** Makes the buttons again when the heads, their order or their size are others. */
  function build(
    /** @type {number} */ pitch,
    /** @type {number} */ label,
    /** @type {boolean} */ is_sorted,
  ) {
    const { layers, heads } = explorer.panel();
    const wanted = JSON.stringify([layers, heads, shown.order, pitch, label, is_sorted]);
    if (wanted === built) return;
    built = wanted;
    root.style.setProperty("--llm-pitch", `${pitch}px`);
    root.style.setProperty("--llm-rise", `${pitch + label}px`);
    axes.hidden = is_sorted;
    const stride = pitch < 24 ? 2 : 1;
    across.replaceChildren(
      ...(is_sorted
        ? []
        : Array.from({ length: heads }, (_, i) =>
            element("span", {}, i % stride ? "" : String(i)),
          )),
    );
    down.replaceChildren(
      ...(is_sorted
        ? []
        : Array.from({ length: layers }, (_, i) => element("span", {}, String(i)))),
    );
    const rows = Math.ceil(shown.order.length / shown.across);
    cells.setAttribute("aria-rowcount", String(rows));
    cells.setAttribute("aria-colcount", String(shown.across));
    cells.replaceChildren(
      ...Array.from({ length: rows }, (_, row) =>
        element(
          "div",
          { role: "row" },
          ...shown.order.slice(row * shown.across, (row + 1) * shown.across).map(button),
        ),
      ),
    );
  }
  function draw_tools(/** @type {Float32Array | null} */ of) {
    const [all, { sort }] = [explorer.measures(), explorer.selection()];
    const names = Object.keys(all);
    tools.hidden = !names.length;
    if (measure.options.length !== names.length + 1)
      measure.replaceChildren(
        element("option", { value: "" }, "layer by layer"),
        ...names.map((name) => element("option", { value: name }, all[name].title)),
      );
    measure.value = all[sort] ? sort : "";
    refine.hidden = !measure.value;
    const chosen = all[sort];
    about.textContent = chosen
      ? [chosen.formula, chosen.source, of ? "" : explorer.waiting_text()]
          .filter(Boolean)
          .join(" · ")
      : "";
  }
  function draw_thumbs(
    /** @type {number} */ pitch,
    /** @type {number} */ label,
    /** @type {Float32Array | null} */ of,
  ) {
    const [theme, tables, selection] = [explorer.theme(), explorer.tables(), explorer.selection()];
    const atlas = explorer.requests.atlas(selection.source, explorer.panel().kind);
    const made_of = [
      tables.weights,
      of,
      atlas?.version,
      built,
      selection.source,
      selection.kind,
      selection.sort,
      least.value,
      ...Object.values(theme).map(String),
      window.devicePixelRatio,
    ];
    // a frame of a zoom has other work
    if (made_of.length === drawn.length && made_of.every((part, i) => part === drawn[i])) return;
    drawn = made_of;
    const context = fitted(
      canvas,
      shown.across * pitch,
      Math.ceil(shown.order.length / shown.across) * (pitch + label),
    );
    const size = pitch - 4;
    shown.order.forEach((i, at) => {
      const [x, y] = [
        (at % shown.across) * pitch + 2,
        Math.floor(at / shown.across) * (pitch + label) + 2,
      ];
      const piece = explorer.painter.thumbnail({ ...explorer.head(), ...head_at(i) }, tables);
      context.globalAlpha = is_out(of, i) ? 0.15 : 1;
      context.imageSmoothingEnabled = Boolean(piece && size < piece.canvas.width);
      context.imageSmoothingQuality = "high";
      if (piece) context.drawImage(piece.canvas, x, y, size, size);
      if (of) {
        context.fillStyle = theme.line;
        context.fillRect(x, y + size - 3, size, 3);
        context.fillStyle = theme.accent;
        context.fillRect(
          x,
          y + size - 3,
          size * share_of(of[i], of, explorer.measures()[selection.sort]),
          3,
        );
      }
      if (label) {
        context.fillStyle = theme.muted;
        context.font = `10.5px ${theme.font}`;
        context.fillText(
          of ? `${head_name(head_at(i))}  ${number_text(of[i])}` : head_name(head_at(i)),
          x,
          y + size + 12,
          size,
        );
      }
      context.globalAlpha = 1;
    });
  }
  function mark_buttons(/** @type {Float32Array | null} */ of) {
    const { kind, layer, head, heads, silenced } = explorer.selection();
    const wanted = JSON.stringify([kind, layer, head, heads, silenced, built, of && [...of]]);
    if (wanted === marked_as) return;
    marked_as = wanted;
    const count = explorer.panel().heads;
    const marked = new Set(heads.map(([l, h]) => l * count + h));
    const silent = new Set(
      silenced.filter(([of_kind]) => of_kind === kind).map(([, l, h]) => l * count + h),
    );
    const chosen = shown.order.includes(layer * count + head)
      ? layer * count + head
      : shown.order[0];
    buttons().forEach((made, at) => {
      const i = shown.order[at];
      const name = [
        `layer ${head_at(i).layer} head ${head_at(i).head}`,
        ...(of ? [number_text(of[i])] : []),
        ...(silent.has(i) ? ["silenced"] : []),
      ].join(", ");
      made.tabIndex = i === chosen ? 0 : -1;
      made.title = name;
      made.setAttribute("aria-label", name);
      made.setAttribute("aria-selected", String(i === layer * count + head));
      made.dataset.marked = String(marked.has(i));
      made.dataset.silenced = String(silent.has(i));
    });
  }
  return {
    root,
    /** @param {boolean} is_large @param {number} width */
    draw(is_large, width) {
      const [panel, of] = [explorer.panel(), values()];
      const is_sorted = Boolean(of && sorting.checked);
      shown = order_of(panel, is_sorted ? of : null);
      if (is_sorted) shown.order = shown.order.filter((i) => !is_out(of, i));
      const pitch = pitch_of(width, panel.heads, panel.layers, is_large);
      const label = pitch >= LABELLED_FROM_PX && (of || is_large) ? LABEL_PX : 0;
      draw_tools(of);
      build(pitch, label, is_sorted);
      draw_thumbs(pitch, label, of);
      mark_buttons(of);
      root.dataset.whole = String(
        explorer.requests.atlas(explorer.selection().source, panel.kind)?.whole ?? false,
      );
    },
    focus: () =>
      buttons()
        .find((made) => made.tabIndex === 0)
        ?.focus(),
  };
}
