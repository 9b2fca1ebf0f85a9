import { element } from "./shared/elements.js";
import { duration_text } from "./shared/numbers.js";
import { combobox } from "./shared/combobox.js";

/**
 * @typedef {{
 *   devices: Device[],
 *   models: ModelLine[],
 *   summary: string,
 *   choices: Record<string, string[]>,
 *   offers: import("./shared/combobox.js").Offer[],
 *   plan: string,
 *   working: number,
 *   notice: string,
 * }} Traits
 * @typedef {{
 *   name: string, budget_bytes: number, held_bytes: number, blocked_bytes: number,
 *   caption: string,
 * }} Device
 * @typedef {{
 *   name: string, task: string, device: string, dtype: string, bytes: number, size: string,
 *   parameters: string, state: string, leases: number, pinned: boolean, uses: number,
 *   used_at_s: number, colour: number,
 * }} ModelLine
 */

const LOOK_MS = 1000;
const ANSWER_MS = 15_000;
const PLAN_MS = 300;
const WAIT_MS = 15_000;
const COLOURS = 6;
const HEADS = ["model", "device", "precision", "memory", "state", "last used", ""];

/** @param {ModelLine} line */
export const key_of = ({ name, device, dtype }) => JSON.stringify([name, device, dtype]);

/**
 * The parts of a device's bar, as shares of its budget, each at least `least` wide so that it can
 * be seen.
 * @param {Device} device @param {ModelLine[]} models @param {number} [least]
 * @returns {{ share: number, colour: number, title: string }[]}
 */
export function bar_parts({ name, budget_bytes, held_bytes }, models, least = 0.006) {
  const scale = Math.max(budget_bytes, held_bytes, 1);
  return models
    .filter((line) => line.device === name && line.bytes > 0)
    .map((line) => ({
      share: Math.max(least, line.bytes / scale),
      colour: line.colour % COLOURS,
      title: `${line.name}: ${line.size}`,
    }));
}

/** What a model is doing, in words. @param {ModelLine} line */
export function state_text({ state, leases, pinned }) {
  if (state === "loading") return "loading…";
  const doing = leases
    ? `in use${leases > 1 ? ` by ${leases}` : ""}`
    : state === "pinned"
      ? "idle"
      : state;
  return pinned ? `${doing}, pinned` : doing;
}

/**
 * How long ago a model was used.
 * @param {ModelLine} line
 * @param {number} now_s the kernel's clock
 */
export function last_used({ state, leases, used_at_s }, now_s) {
  if (leases || state === "loading") return "now";
  return now_s - used_at_s < 2 ? "just now" : `${duration_text(now_s - used_at_s)} ago`;
}

/** @param {(text: string) => void} told */
function device_bars(told) {
  const root = element("div", { class: "llm-devices" });
  let said = "";
  function update(/** @type {Device[]} */ devices, /** @type {ModelLine[]} */ models) {
    root.replaceChildren(
      ...devices.map((device) => {
        const parts = bar_parts(device, models).map(({ share, colour, title }) => {
          const part = element("i", { title, "data-colour": colour });
          part.style.width = `${100 * share}%`;
          return part;
        });
        const blocked = element("i", { class: "llm-blocked", title: "taken by something else" });
        blocked.style.width = `${(100 * device.blocked_bytes) / Math.max(1, device.budget_bytes)}%`;
        const bar = element(
          "div",
          { class: "llm-memory", role: "img", "aria-label": `${device.name}: ${device.caption}` },
          ...parts,
          element("span", {}),
          blocked,
        );
        return element(
          "div",
          { class: "llm-device" },
          element("b", {}, device.name),
          bar,
          element("span", { class: "llm-caption" }, device.caption),
        );
      }),
    );
    const now = models.map(({ name }) => name).join(", ");
    if (said !== now && said !== "")
      told(devices.map(({ name, caption }) => `${name}: ${caption}`).join(". "));
    said = now || " ";
  }
  return { root, update };
}

/**
 * One model: what is known of it, and what can be done with it.
 * @param {(action: string, name: string) => void} act
 */
function model_row(act) {
  const swatch = element("i", {});
  const name = element("bdi", {});
  const about = element("small", {});
  const cells = HEADS.slice(1, -1).map(() => element("td", {}));
  const pin = element("button", { type: "button", class: "llm-pin" }, "Pin");
  const unload = element("button", { type: "button", class: "llm-unload" }, "Unload");
  const root = element(
    "tr",
    {},
    element("th", { scope: "row" }, element("div", {}, swatch, element("span", {}, name, about))),
    ...cells,
    element("td", { class: "llm-buttons" }, pin, unload),
  );
  /** @type {ModelLine | null} */
  let held = null;
  let timer = 0;
  function asked(/** @type {HTMLButtonElement} */ button, /** @type {string} */ action) {
    if (!held) return;
    [pin.disabled, unload.disabled] = [true, true];
    button.setAttribute("aria-busy", "true");
    timer = window.setTimeout(free, WAIT_MS);
    act(action, held.name);
  }
  pin.onclick = () => asked(pin, held?.pinned ? "unpin" : "pin");
  unload.onclick = () => asked(unload, "unload");
  function free() {
    window.clearTimeout(timer);
    pin.removeAttribute("aria-busy");
    unload.removeAttribute("aria-busy");
    const loading = held?.state === "loading";
    pin.disabled = loading;
    unload.disabled = loading || !!held?.leases;
  }
  return {
    root,
    free,
    tick: (/** @type {number} */ now_s) =>
      void (held && (cells[4].textContent = last_used(held, now_s))),
    update(/** @type {ModelLine} */ line, /** @type {number} */ now_s) {
      held = line;
      root.dataset.state = line.state;
      swatch.dataset.colour = String(line.colour % COLOURS);
      name.textContent = line.name;
      about.textContent = [
        line.task,
        line.parameters && `${line.parameters} parameters`,
        line.uses && `used ${line.uses} times`,
      ]
        .filter(Boolean)
        .join(" · ")
        .replace("used 1 times", "used once");
      [line.device, line.dtype, line.size, state_text(line), last_used(line, now_s)].forEach(
        (text, i) => (cells[i].textContent = text),
      );
      pin.setAttribute("aria-pressed", String(line.pinned));
      pin.setAttribute("aria-label", `pin ${line.name}`);
      pin.title = line.pinned
        ? "let it make room for others again"
        : "keep it whatever else needs room";
      pin.textContent = line.pinned ? "Pinned" : "Pin";
      unload.setAttribute("aria-label", `unload ${line.name}`);
      unload.title = line.leases ? "it is in use: stop what uses it first" : "free its memory";
      free();
    },
  };
}

/**
 * The models as a table whose rows stay as long as their models do.
 * @param {(action: string, name: string) => void} act
 */
function models_table(act) {
  const body = element("tbody", {});
  const root = element(
    "table",
    {},
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...HEADS.map((head) =>
          element(
            "th",
            { scope: "col" },
            head || element("span", { class: "llm-spoken" }, "actions"),
          ),
        ),
      ),
    ),
    body,
  );
  /** @type {Map<string, ReturnType<typeof model_row>>} */
  const rows = new Map();
  function update(/** @type {ModelLine[]} */ models, /** @type {number} */ now_s) {
    root.hidden = !models.length;
    const keys = models.map(key_of);
    for (const [key, row] of rows)
      if (!keys.includes(key)) {
        row.root.remove();
        rows.delete(key);
      }
    models.forEach((line, i) => {
      let row = rows.get(keys[i]);
      if (!row) {
        row = model_row(act);
        rows.set(keys[i], row);
      }
      if (body.children[i] !== row.root) body.insertBefore(row.root, body.children[i] ?? null);
      row.update(line, now_s);
    });
  }
  return {
    root,
    update,
    tick: (/** @type {number} */ now_s) => rows.forEach((row) => row.tick(now_s)),
    free: () => rows.forEach((row) => row.free()),
  };
}

/**
 * Choose a model by reference, see what it would take, and load it.
 * @param {Record<string, string[]>} choices
 * @param {{
 *   load: (reference: string, options: Record<string, string>) => void,
 *   plan: (reference: string, options: Record<string, string>) => void, opened: () => void,
 * }} does
 */
function load_row(choices, { load, plan, opened }) {
  let timer = 0;
  const box = combobox({
    label: "model to load: hub id, local folder, embedded:NAME, run:NAME or variable",
    placeholder: "hub id, folder, embedded:NAME, run:NAME, variable",
    changed,
    opened,
  });
  const usual = { dtype: "usual precision", device: "usual device" };
  const selects = Object.entries(choices)
    .filter(([, values]) => values.length > 1)
    .map(([name, values]) => {
      const select = element(
        "select",
        { "aria-label": name },
        element("option", { value: "" }, usual[/** @type {"dtype"} */ (name)] ?? name),
        ...values.map((value) => element("option", { value }, value)),
      );
      select.onchange = changed;
      return /** @type {const} */ ([name, select]);
    });
  const button = element("button", { type: "submit", class: "llm-load", disabled: true }, "Load");
  const note = element("div", { class: "llm-plan", dir: "auto", "aria-live": "polite" });
  const root = element(
    "form",
    { class: "llm-load-row" },
    element("b", {}, "Load"),
    box.root,
    ...selects.map(([, select]) => select),
    button,
    note,
  );
  const options = () =>
    Object.fromEntries(
      selects.filter(([, select]) => select.value).map(([name, select]) => [name, select.value]),
    );
  function changed() {
    button.disabled = !box.value();
    window.clearTimeout(timer);
    timer = window.setTimeout(() => plan(box.value(), options()), PLAN_MS);
  }
  root.onsubmit = (event) => {
    event.preventDefault();
    if (box.value()) load(box.value(), options());
  };
  return {
    root,
    set_offers: box.set_offers,
    update: (/** @type {string} */ text) => void (note.textContent = box.value() ? text : ""),
  };
}

/** @param {{ model: import("./shared/elements.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const spoken = element("div", { class: "llm-spoken", "aria-live": "polite" });
  const summary = element("span", { class: "llm-summary" });
  const working = element("span", { class: "llm-working" }, "at work");
  const bars = device_bars((text) => void (spoken.textContent = text));
  const table = models_table((action, reference) => model.send({ do: action, reference }));
  const loading = load_row(model.get("choices"), {
    load: (reference, options) => model.send({ do: "load", reference, options }),
    plan: (reference, options) => model.send({ do: "plan", reference, options }),
    opened: () => model.send({ do: "offers" }),
  });
  const notice = element("div", { class: "llm-note", role: "alert", dir: "auto" });
  const root = element(
    "div",
    { class: "llm-model-panel", "data-lm-suppress-shortcuts": "true" },
    element(
      "div",
      { class: "llm-head" },
      element("span", { class: "llm-title" }, "Models in memory"),
      summary,
      working,
    ),
    bars.root,
    element("div", { class: "llm-scroll" }, table.root),
    loading.root,
    notice,
    spoken,
  );
  root.onkeydown = (event) => event.stopPropagation(); // the keys of a notebook are not meant here
  el.append(root);

  let [ahead_s, timer, asked_ms] = [0, 0, -Infinity];
  const now_s = () => Date.now() / 1000 + ahead_s;
  /** Asks for news, and again when that was answered: a kernel that is busy is not asked twice. */
  function look() {
    timer = window.setTimeout(look, LOOK_MS);
    table.tick(now_s());
    if (document.hidden || !root.isConnected || performance.now() - asked_ms < ANSWER_MS) return;
    asked_ms = performance.now();
    model.send({ do: "look" });
  }
  function received(/** @type {{ looked?: boolean, now_s?: number }} */ message) {
    if (!message.looked) return;
    asked_ms = -Infinity;
    if (message.now_s) ahead_s = message.now_s - Date.now() / 1000;
  }
  function show() {
    summary.textContent = model.get("summary");
    bars.update(model.get("devices"), model.get("models"));
    table.update(model.get("models"), now_s());
  }
  function show_work() {
    working.hidden = !model.get("working");
    notice.textContent = model.get("notice");
    notice.hidden = !notice.textContent;
    if (!model.get("working")) table.free();
  }
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [
    ["msg:custom", received],
    ...["devices", "models", "summary"].map(
      (name) => /** @type {[string, () => void]} */ ([`change:${name}`, show]),
    ),
    ...["working", "notice"].map(
      (name) => /** @type {[string, () => void]} */ ([`change:${name}`, show_work]),
    ),
    ["change:plan", () => loading.update(model.get("plan"))],
    ["change:offers", () => loading.set_offers(model.get("offers"))],
  ];
  for (const [event, callback] of listeners) model.on(event, callback);
  loading.set_offers(model.get("offers"));
  show();
  show_work();
  look();
  return () => {
    window.clearTimeout(timer);
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}

export default { render };
