import { element } from "./shared/elements.js";
import { duration_text } from "./shared/numbers.js";
import { combobox } from "./shared/combobox.js";
import { built } from "./shared/nodes.js";

/**
 * @typedef {{
 *   form: Form,
 *   texts: Record<string, string>,
 *   values: Record<string, string>,
 *   offers: Record<string, import("./shared/combobox.js").Offer[]>,
 *   status: "ready" | "running" | "stopping" | "done" | "stopped" | "failed",
 *   note: string,
 *   shown: import("./shared/nodes.js").Tree | [],
 *   magic: string,
 *   as_typed: boolean,
 *   heard: number,
 * }} Traits
 * @typedef {{
 *   name: string, kind: string, help: string, choices: string[], hint: string, default: string,
 *   low?: number, high?: number, step?: number | "any",
 * }} FormField
 * @typedef {{ texts: Record<string, string>, values: Record<string, string> }} Filled
 * @typedef {{
 *   task: string, about: string, boxes: { name: string, label: string }[], fields: FormField[],
 *   examples: Filled[],
 * }} Form
 * @typedef {{
 *   root: HTMLElement, value: () => string, set_value: (value: string) => void,
 *   set_offers?: (offers: import("./shared/combobox.js").Offer[]) => void,
 * }} Control
 */

const EDIT_MS = 200;
const TYPED_MS = 700;
const WAIT_MS = 15_000;
const INLINE = 3;
const WORDS = {
  ready: "",
  running: "at work",
  stopping: "stopping…",
  done: "done",
  stopped: "stopped",
  failed: "failed",
};

/** "max-words" → "max words". @param {string} name */
export const spoken = (name) => name.replaceAll("-", " ");

/**
 * The fields in their groups: languages, the model and choices come first; many others are folded
 * away.
 * @param {FormField[]} fields
 * @returns {{ first: FormField[], more: FormField[] }}
 */
export function grouped(fields) {
  const is_first = (/** @type {FormField} */ { name, kind }) =>
    name === "model" || ["language", "choice"].includes(kind);
  const rest = fields.filter((field) => !is_first(field));
  if (rest.length <= INLINE) return { first: [...fields.filter(is_first), ...rest], more: [] };
  return { first: fields.filter(is_first), more: rest };
}

/**
 * The two fields that a swap exchanges: languages from and to.
 * @param {FormField[]} fields
 * @returns {[string, string] | null}
 */
export function swapped(fields) {
  const languages = fields.filter(({ kind }) => kind === "language").map(({ name }) => name);
  return languages.includes("from") && languages.includes("to") ? ["from", "to"] : null;
}

/** The start of a text for a button. @param {Filled} example */
export function short_name({ texts }) {
  const text = (Object.values(texts).at(-1) ?? "").replace(/\s+/g, " ").trim();
  return text.length > 34 ? `${text.slice(0, 33).trimEnd()}…` : text;
}

/**
 * What was changed here, by name with the number of the edit that tells Python of it. Until Python
 * has heard that edit, its own value for the name is older than what stands here.
 */
export class Changes {
  /** @type {Map<string, number>} */
  #edits = new Map();
  /** @type {Set<string>} */
  #untold = new Set();
  #sent;

  /** @param {number} heard the last edit that Python has heard */
  constructor(heard) {
    this.#sent = heard;
  }

  /** @param {string} name */
  note(name) {
    this.#untold.add(name);
  }

  /**
   * The next edit: its number, and whether it has to tell a name. Another view of the same panel
   * may have told some, too.
   * @param {number} [heard] the last edit that Python has heard
   */
  tell(heard = 0) {
    const edit = (this.#sent = Math.max(this.#sent, heard) + 1);
    const told = this.#untold;
    this.#untold = new Set();
    for (const name of told) this.#edits.set(name, edit);
    return { edit, holds: (/** @type {string} */ name) => told.has(name) };
  }

  /**
   * Whether what stands here is newer than what Python says.
   * @param {string} name
   * @param {number} heard
   */
  is_newer(name, heard) {
    return this.#untold.has(name) || (this.#edits.get(name) ?? 0) > heard;
  }
}

/** What a value says: the default says nothing. @param {FormField} field @param {string} value */
export const told_value = ({ default: usual }, value) =>
  value.trim() === usual ? "" : value.trim();

/**
 * The entries of a record whose names are wanted.
 * @param {Record<string, string>} all
 * @param {(name: string) => boolean} wanted
 */
const only = (all, wanted) =>
  Object.fromEntries(Object.entries(all).filter(([name]) => wanted(name)));

/**
 * @param {FormField} field
 * @param {() => void} changed
 * @param {() => void} opened
 * @returns {Control}
 */
function field_control(field, changed, opened) {
  const name = spoken(field.name);
  const described = { title: field.help, "aria-label": `${name}: ${field.help}` };
  if (field.kind === "flag") {
    const input = element("input", { type: "checkbox", ...described });
    input.onchange = changed;
    return {
      root: input,
      value: () => (input.checked ? "yes" : ""),
      set_value: (value) => void (input.checked = value === "yes"),
    };
  }
  if (field.kind === "choice") {
    const input = element(
      "select",
      described,
      ...(field.default ? [] : [element("option", { value: "" }, "—")]),
      ...field.choices.map((choice) => element("option", { value: choice }, choice)),
    );
    input.onchange = changed;
    return {
      root: input,
      value: () => input.value,
      set_value: (value) => void (input.value = value || field.default),
    };
  }
  if (field.kind === "number") {
    const input = element("input", {
      type: "number",
      placeholder: field.default,
      min: field.low ?? "",
      max: field.high ?? "",
      step: field.step ?? "any",
      ...described,
    });
    input.oninput = changed;
    return {
      root: input,
      value: () => input.value,
      set_value: (value) => void (input.value = value),
    };
  }
  if (field.kind === "text") {
    const input = element("input", {
      type: "text",
      placeholder: field.default || field.hint.toLowerCase(),
      ...described,
    });
    input.oninput = changed;
    return {
      root: input,
      value: () => input.value,
      set_value: (value) => void (input.value = value),
    };
  }
  const usual = { model: "chosen by task and language", from: "detected", to: "choose…" }[
    field.name
  ];
  const box = combobox({
    label: described["aria-label"],
    title: field.help,
    placeholder: usual ?? field.hint.toLowerCase(),
    changed,
    opened,
  });
  return {
    root: box.root,
    value: box.value,
    set_value: (value) => box.set_value(value || field.default),
    set_offers: box.set_offers,
  };
}

/**
 * The fields of a form in their order, with a swap between two languages.
 * @param {Form} form @param {{ changed: (name: string) => void, opened: () => void }} does
 */
function field_rows(form, { changed, opened }) {
  /** @type {Map<string, Control>} */
  const controls = new Map(
    form.fields.map((field) => [
      field.name,
      field_control(field, () => changed(field.name), opened),
    ]),
  );
  const labelled = (/** @type {FormField} */ field) => {
    const control = /** @type {Control} */ (controls.get(field.name));
    return element(
      "label",
      { class: `llm-field llm-${field.kind}` },
      element("span", {}, spoken(field.name)),
      control.root,
    );
  };
  const told = (/** @type {FormField} */ field) =>
    told_value(field, controls.get(field.name)?.value() ?? "");
  const { first, more } = grouped(form.fields);
  const pair = swapped(form.fields);
  const swap = element(
    "button",
    {
      type: "button",
      class: "llm-swap",
      title: "exchange the languages",
      "aria-label": "exchange the languages",
    },
    "⇄",
  );
  const row = element(
    "div",
    { class: "llm-fields" },
    ...first.flatMap((field) =>
      pair && field.name === pair[1] ? [swap, labelled(field)] : [labelled(field)],
    ),
  );
  const folded = element(
    "details",
    { class: "llm-more" },
    element("summary", {}, "More options"),
    element("div", { class: "llm-fields" }, ...more.map(labelled)),
  );
  folded.hidden = !more.length;
  return {
    root: element("div", {}, row, folded),
    controls,
    swap,
    pair,
    values: () => Object.fromEntries(form.fields.map((field) => [field.name, told(field)])),
    /** What already says the same is left as it is typed. */
    set_values(/** @type {Record<string, string>} */ values) {
      for (const field of form.fields) {
        const value = values[field.name];
        if (value !== undefined && value !== told(field))
          controls.get(field.name)?.set_value(value);
      }
      if (more.some(({ name }) => values[name])) folded.open = true;
    },
    set_offers(/** @type {Traits["offers"]} */ offers) {
      for (const [name, control] of controls) control.set_offers?.(offers[name] ?? []);
    },
  };
}

/**
 * The boxes for text, and examples that fill them.
 * @param {Form} form
 * @param {{ changed: (name: string) => void, filled: (example: Filled) => void }} does
 */
function text_boxes(form, { changed, filled }) {
  const boxes = form.boxes.map(({ name, label }, i) => {
    const rows = form.boxes.length > 1 && i === form.boxes.length - 1 ? 2 : 4;
    const input = element("textarea", {
      rows,
      dir: "auto",
      "aria-label": label,
      placeholder: label.toLowerCase(),
    });
    input.oninput = () => changed(name);
    return {
      name,
      input,
      root: element(
        "label",
        { class: "llm-box" },
        form.boxes.length > 1 ? element("span", {}, label) : "",
        input,
      ),
    };
  });
  const chips = form.examples.map((example) => {
    const chip = element(
      "button",
      { type: "button", class: "llm-example", title: "fill the form with this example" },
      short_name(example),
    );
    chip.onclick = () => filled(example);
    return chip;
  });
  const examples = element(
    "div",
    { class: "llm-examples" },
    element("span", {}, "Examples"),
    ...chips,
  );
  examples.hidden = !chips.length;
  return {
    root: element("div", {}, ...boxes.map(({ root }) => root), examples),
    first: boxes[0].input,
    texts: () => Object.fromEntries(boxes.map(({ name, input }) => [name, input.value])),
    set_texts(/** @type {Record<string, string>} */ texts) {
      for (const { name, input } of boxes)
        if (name in texts && input.value !== texts[name]) input.value = texts[name];
    },
  };
}

/**
 * The same work as a cell or as Python, to be copied.
 * @param {{ asked_code: () => void, told: (text: string) => void }} does
 */
function copy_row({ asked_code, told }) {
  const line = element("code", {});
  const as_magic = element("button", { type: "button" }, "Copy as magic");
  const as_code = element("button", { type: "button" }, "as Python");
  const shown = element("textarea", {
    class: "llm-copied",
    rows: 4,
    readonly: true,
    hidden: true,
    "aria-label": "the text to copy",
  });
  const root = element(
    "div",
    { class: "llm-copy" },
    line,
    element("span", { class: "llm-spring" }),
    as_magic,
    as_code,
    shown,
  );
  let magic = "";
  async function copy(/** @type {string} */ text, /** @type {HTMLButtonElement} */ button) {
    try {
      await navigator.clipboard.writeText(text);
      const before = button.textContent ?? "";
      button.textContent = "Copied";
      told("copied");
      window.setTimeout(() => (button.textContent = before), 1200);
    } catch {
      // A page without the right to the clipboard: the text is there to be copied by hand.
      [shown.hidden, shown.value] = [false, text];
      shown.select();
    }
  }
  as_magic.onclick = () => copy(magic, as_magic);
  as_code.onclick = asked_code;
  return {
    root,
    received: (/** @type {string} */ code) => copy(code, as_code),
    update(/** @type {string} */ text) {
      magic = text;
      line.textContent = text.split("\n")[0];
      as_magic.disabled = as_code.disabled = !text;
    },
  };
}

/**
 * Run and stop, how far it is, and whether to run as one types.
 * @param {string} task
 * @param {{ run: () => void, stop: () => void, as_typed: (on: boolean) => void }} does
 */
function action_row(task, does) {
  const run = element(
    "button",
    { type: "button", class: "llm-run", title: "Ctrl+Enter" },
    task[0].toUpperCase() + task.slice(1),
  );
  const stop = element(
    "button",
    { type: "button", class: "llm-stop", title: "end with what there is" },
    "Stop",
  );
  const status = element("span", { class: "llm-status" });
  const live = element("input", { type: "checkbox" });
  const root = element(
    "div",
    { class: "llm-actions" },
    run,
    stop,
    status,
    element("label", { class: "llm-as-typed" }, live, " as I type"),
  );
  let [since, ticking, waiting] = [0, 0, 0];
  live.onchange = () => does.as_typed(live.checked);
  run.onclick = does.run;
  stop.onclick = does.stop;
  function tick() {
    const seconds = (performance.now() - since) / 1000;
    status.textContent = `${WORDS.running}${seconds >= 1 ? ` ${duration_text(seconds)}` : ""}`;
  }
  function end() {
    window.clearInterval(ticking);
    window.clearTimeout(waiting);
  }
  return {
    root,
    end,
    asked() {
      run.disabled = true;
      waiting = window.setTimeout(() => (run.disabled = false), WAIT_MS);
    },
    update(/** @type {Traits["status"]} */ now, /** @type {boolean} */ as_typed) {
      end();
      const busy = now === "running" || now === "stopping";
      [run.disabled, stop.hidden, stop.disabled, live.checked] = [
        busy,
        !busy,
        now === "stopping",
        as_typed,
      ];
      [status.dataset.status, status.textContent] = [now, WORDS[now]];
      if (now === "running") {
        since = performance.now();
        ticking = window.setInterval(tick, 500);
        tick();
      }
    },
  };
}

/** @param {{ model: import("./shared/elements.js").Model<Traits>, el: HTMLElement }} view */
function render({ model, el }) {
  const form = model.get("form");
  const spoken_line = element("div", { class: "llm-spoken", "aria-live": "polite" });
  const told = (/** @type {string} */ text) => void (spoken_line.textContent = text);
  const boxes = text_boxes(form, { changed: (name) => changed(box(name)), filled });
  const fields = field_rows(form, {
    changed: (name) => changed(field(name)),
    opened: () => model.send({ do: "offers" }),
  });
  const actions = action_row(form.task, { run, stop: () => model.send({ do: "stop" }), as_typed });
  const copying = copy_row({ asked_code: () => (settle(), model.send({ do: "code" })), told });
  const note = element("div", { class: "llm-note", role: "alert", dir: "auto" });
  const result = element("section", { class: "llm-result", "aria-label": "result" });
  const title = element(
    "div",
    { class: "llm-head" },
    element("span", { class: "llm-title" }, form.task[0].toUpperCase() + form.task.slice(1)),
    element("span", { class: "llm-about" }, form.about),
  );
  const root = element(
    "div",
    { class: "llm-playground", "data-lm-suppress-shortcuts": "true", "data-task": form.task },
    title,
    fields.root,
    boxes.root,
    actions.root,
    note,
    result,
    copying.root,
    spoken_line,
  );
  el.append(root);
  let [editing, typing] = [0, 0];
  const no_values = Object.fromEntries(form.fields.map(({ name }) => [name, ""]));
  const changes = new Changes(model.get("heard"));
  const [box, field] = [
    (/** @type {string} */ name) => `box ${name}`,
    (/** @type {string} */ name) => `field ${name}`,
  ];

  /** @param {"edit" | "run"} what */
  function tell(what) {
    window.clearTimeout(editing);
    editing = 0;
    const { edit, holds } = changes.tell(model.get("heard"));
    model.send({
      do: what,
      edit,
      texts: only(boxes.texts(), (name) => holds(box(name))),
      values: only(fields.values(), (name) => holds(field(name))),
    });
  }
  function settle() {
    if (editing) tell("edit");
  }
  /** @param {string[]} keys */
  function changed(...keys) {
    keys.forEach((key) => changes.note(key));
    window.clearTimeout(editing);
    editing = window.setTimeout(settle, EDIT_MS);
    window.clearTimeout(typing);
    if (model.get("as_typed"))
      typing = window.setTimeout(
        () => Object.values(boxes.texts()).every((text) => text.trim()) && run(),
        TYPED_MS,
      );
  }
  function run() {
    window.clearTimeout(typing);
    actions.asked();
    tell("run");
  }
  function filled(/** @type {Filled} */ example) {
    boxes.set_texts(example.texts);
    fields.set_values({ ...no_values, ...example.values });
    changed(
      ...form.boxes.map(({ name }) => box(name)),
      ...form.fields.map(({ name }) => field(name)),
    );
    boxes.first.focus();
  }
  function as_typed(/** @type {boolean} */ on) {
    model.set("as_typed", on);
    model.save_changes();
    if (on) changed(); // what stands there is worked on at once
  }
  fields.swap.onclick = () => {
    const [from, to] = fields.pair ?? ["from", "to"];
    const values = { ...fields.values() };
    [values[from], values[to]] = [values[to] ?? "", values[from] ?? ""];
    fields.set_values(values);
    // what was detected is not known here
    if (!values[to]) fields.controls.get(to)?.root.querySelector("input")?.focus();
    changed(field(from), field(to));
  };
  root.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (model.get("status") !== "running") run();
    }
    event.stopPropagation(); // the keys of a notebook are not meant here
  };

  const received = (/** @type {{ code?: string }} */ message) =>
    void (message.code !== undefined && copying.received(message.code));
  function show_status() {
    const now = model.get("status");
    actions.update(now, model.get("as_typed"));
    root.dataset.status = now;
    result.setAttribute("aria-busy", String(now === "running"));
    if (now === "done") told(`done: ${result.innerText.slice(0, 600)}`);
    else if (WORDS[now]) told(WORDS[now]);
  }
  function show_note() {
    note.textContent = model.get("note");
    note.hidden = !note.textContent;
    note.dataset.status = model.get("status");
  }
  function show_result() {
    const tree = model.get("shown");
    if (tree.length)
      result.replaceChildren(built(/** @type {import("./shared/nodes.js").Tree} */ (tree)));
    result.hidden = !tree.length;
  }
  function take_form() {
    const heard = model.get("heard");
    boxes.set_texts(only(model.get("texts"), (name) => !changes.is_newer(box(name), heard)));
    fields.set_values(
      only(
        { ...no_values, ...model.get("values") },
        (name) => !changes.is_newer(field(name), heard),
      ),
    );
  }
  /** @type {[string, (...args: any[]) => void][]} */
  const listeners = [
    ["change:status", () => (show_status(), show_note())],
    ["change:as_typed", show_status],
    ["change:note", show_note],
    ["change:shown", show_result],
    ["change:texts", take_form],
    ["change:values", take_form],
    ["change:heard", take_form],
    ["change:offers", () => fields.set_offers(model.get("offers"))],
    ["change:magic", () => copying.update(model.get("magic"))],
    ["msg:custom", received],
  ];
  for (const [event, callback] of listeners) model.on(event, callback);
  fields.set_offers(model.get("offers"));
  take_form();
  copying.update(model.get("magic"));
  show_result();
  show_note();
  show_status();
  return () => {
    actions.end();
    settle(); // what was typed last is not lost with the view
    window.clearTimeout(typing);
    for (const [event, callback] of listeners) model.off(event, callback);
  };
}

export default { render };
