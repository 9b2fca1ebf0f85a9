import { element } from "./shared/elements.js";
import { floats_of } from "./shared/numbers.js";

// A text as a language model sees it: shaded where it was surprised, with what it would rather have
// said at every place. A click on a token shows its candidates, a click on a candidate goes on with
// it: Python makes the next text.

/**
 * @typedef {{
 *   pieces: string[],
 *   figures: DataView,
 *   candidates: string[][],
 *   chances: DataView,
 *   fixed: [number, number][],
 *   masks: number[],
 *   is_masked: boolean,
 *   summary: string,
 *   about: string,
 *   earlier: number,
 *   selected: number,
 *   version: number,
 *   can_undo: boolean,
 *   can_redo: boolean,
 *   busy: boolean,
 *   error: string,
 * }} Traits
 */

/** @typedef {import("./shared/elements.js").Model<Traits>} NextWordModel */
/**
 * @typedef {{
 *   text: string, gap: string, probability: number, bits: number, rank: number, is_mask: boolean,
 * }} Token
 */
/** @typedef {{ text: string, probability: number, fixed: boolean }} Candidate */

// bits from which a token is shaded, and shaded more; 3 bits are a chance of one in eight
export const SHADES = [3, 6, 10];

/**
 * The tokens with what stands before each: `pieces` are gap, token, gap, token, …, gap.
 * @param {string[]} pieces
 * @param {DataView} figures probability, bits and rank of each, NaN where there is none
 * @param {number[]} masks
 * @returns {Token[]}
 */
export function tokens_of(pieces, figures, masks) {
  const values = floats_of(figures);
  const count = Math.max(0, (pieces.length - 1) >> 1);
  return Array.from({ length: count }, (_, at) => ({
    gap: pieces[2 * at],
    text: pieces[2 * at + 1],
    probability: values[3 * at],
    bits: values[3 * at + 1],
    rank: values[3 * at + 2],
    is_mask: masks.includes(at),
  }));
}

/**
 * What could stand at a place, best first.
 * @param {string[][]} candidates
 * @param {DataView} chances one after the other
 * @param {[number, number][]} fixed
 * @param {number} place
 * @returns {Candidate[]}
 */
export function candidates_at(candidates, chances, fixed, place) {
  const start = candidates.slice(0, place).reduce((sum, one) => sum + one.length, 0);
  const values = floats_of(chances);
  return (candidates[place] ?? []).map((text, i) => ({
    text,
    probability: values[start + i],
    fixed: fixed.some(([at, which]) => at === place && which === i),
  }));
}

/** How strongly a token is shaded, 0…3. @param {number} bits */
export const shade_of = (bits) => SHADES.filter((least) => bits >= least).length;

/**
 * A token as people can see it: spaces at its front stay dots, line breaks and tabs get signs.
 * @param {string} text
 */
export function visible(text) {
  const shown = text.replace(/\r\n|\r|\n/g, "⏎").replace(/\t/g, "⇥");
  const rest = shown.replace(/^ +/, "");
  return "·".repeat(shown.length - rest.length) + rest || "␣";
}

/** "12.3 %", "0.04 %", "< 0.01 %". @param {number} probability */
export function percent(probability) {
  const value = 100 * probability;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${value.toFixed(value < 0.995 ? 2 : 1)} %`;
}

/** A token for a screen reader, and what hovering says. @param {Token} token */
export function token_label(token) {
  if (token.is_mask) return `${token.text}: to be filled in`;
  if (Number.isNaN(token.probability))
    return `${visible(token.text)}: the first token, nothing stands before it`;
  const place =
    token.rank === 0 ? "the most probable" : `number ${(token.rank + 1).toLocaleString("en-US")}`;
  const figures = `${percent(token.probability)}, ${token.bits.toFixed(1)} bits`;
  return `${visible(token.text)}: ${figures}, ${place}`;
}

/**
 * The place that a key leads to, or null: arrows, Home and End.
 * @param {string} key @param {number} place @param {number} last @param {boolean} rtl
 */
export function place_after(key, place, last, rtl) {
  const step = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1 }[key];
  if (step) return Math.min(last, Math.max(0, place + step));
  return key === "Home" ? 0 : key === "End" ? last : null;
}

/** @param {{ model: NextWordModel, el: HTMLElement }} context */
function render({ model, el }) {
  const text = element("div", {
    class: "llm-text",
    role: "group",
    "aria-label": "The text, token by token",
    dir: "auto",
  });
  const heading = element("div", { class: "llm-heading" });
  const list = element("ol", { class: "llm-candidates" });
  const drop = element("input", { type: "checkbox" });
  const drop_label = element("label", { class: "llm-drop" }, drop, " and drop what follows");
  const undo = element(
    "button",
    { type: "button", title: "Back to the text before (Ctrl+Z)" },
    "Undo",
  );
  const redo = element("button", { type: "button", title: "Forward again (Ctrl+Y)" }, "Redo");
  const edit = element("button", { type: "button", "aria-expanded": "false" }, "Edit the text");
  const area = element("textarea", {
    rows: 4,
    "aria-label": "The text",
    spellcheck: "false",
    dir: "auto",
  });
  const apply = element("button", { type: "button", title: "Ctrl+Enter" }, "Read it again");
  const editor = element("div", { class: "llm-editor" }, area, apply);
  const summary = element("span", { class: "llm-summary" });
  const about = element("div", { class: "llm-muted" });
  const legend = element(
    "span",
    { class: "llm-legend", "aria-hidden": "true" },
    "surprise from",
    ...SHADES.map((bits, i) => element("i", { "data-shade": i + 1 }, `${bits}`)),
    "bits",
  );
  const status = element("div", { class: "llm-status", role: "status" });
  const root = element(
    "div",
    { class: "llm-next-word" },
    element(
      "div",
      { class: "llm-head" },
      summary,
      legend,
      element("span", { class: "llm-levers" }, undo, redo, edit),
    ),
    text,
    editor,
    element("div", { class: "llm-panel" }, heading, list, drop_label),
    status,
    about,
  );
  el.replaceChildren(root);
  editor.hidden = true;
  /** @type {Token[]} */
  let tokens = [];
  let refocus = "";
  let [offered, sent] = ["", ""]; // what the editor was given, and what was sent from it

  const has_next = () => !model.get("is_masked");
  const last_place = () => tokens.length - (has_next() ? 0 : 1);
  const whole = () => model.get("pieces").join("");
  /** @param {object} wish */
  const send = (wish) => {
    if (!model.get("busy")) model.send({ ...wish, version: model.get("version") });
  };

  /** @param {number} place */
  function token_node(place) {
    const is_next = place === tokens.length;
    const node = element(
      "span",
      { role: "button", tabindex: -1, "data-place": place },
      is_next ? "…" : tokens[place].text || "\u200b",
    );
    if (is_next) {
      node.classList.add("llm-next");
      node.title = "what comes next";
      node.setAttribute("aria-label", "what comes next");
      return node;
    }
    const token = tokens[place];
    if (token.is_mask) node.classList.add("llm-mask");
    node.dataset.shade = String(shade_of(token.bits));
    node.title = token_label(token);
    node.setAttribute("aria-label", node.title);
    return node;
  }

  function draw_text() {
    tokens = tokens_of(model.get("pieces"), model.get("figures"), model.get("masks"));
    const parts = model.get("earlier")
      ? [
          element(
            "span",
            { class: "llm-muted" },
            `… ${model.get("earlier").toLocaleString("en-US")} tokens before … `,
          ),
        ]
      : [];
    /** @type {(Node | string)[]} */
    const shown = [...parts];
    tokens.forEach((token, place) => shown.push(token.gap, token_node(place)));
    shown.push(model.get("pieces").at(-1) ?? "");
    if (has_next()) shown.push(token_node(tokens.length));
    text.replaceChildren(...shown);
  }

  function draw_panel() {
    const place = Math.min(model.get("selected"), last_place());
    for (const node of text.querySelectorAll("[data-place]")) {
      const is_here = Number(/** @type {HTMLElement} */ (node).dataset.place) === place;
      node.setAttribute("aria-pressed", String(is_here));
      node.setAttribute("tabindex", is_here ? "0" : "-1");
    }
    const is_next = place === tokens.length;
    const token = tokens[place];
    heading.textContent = is_next
      ? "What comes next"
      : token
        ? token.is_mask
          ? `In place of ${token.text}`
          : `In place of ${visible(token.text)} — ${token_label(token).replace(/^[^]*?: /, "")}`
        : "";
    drop_label.hidden = is_next || !has_next() || place < 0;
    const found =
      place < 0
        ? []
        : candidates_at(model.get("candidates"), model.get("chances"), model.get("fixed"), place);
    const most = Math.max(...found.map((one) => one.probability), 1e-9);
    list.replaceChildren(
      ...found.map((one, i) => {
        const bar = element("i", { "aria-hidden": "true" });
        bar.style.width = `${(100 * one.probability) / most}%`;
        const is_there = !is_next && token && token.text.trim() === one.text.trim();
        const doing = one.fixed ? "ends the text" : is_next ? "go on with it" : "put it here";
        const button = element(
          "button",
          {
            type: "button",
            "data-candidate": i,
            title: doing,
            disabled: one.fixed,
            "aria-label": `${visible(one.text)}, ${percent(one.probability)}, ${doing}`,
          },
          element("bdi", {}, visible(one.text)),
          element("span", { class: "llm-track" }, bar),
          element("span", { class: "llm-number" }, percent(one.probability)),
        );
        if (is_there) button.setAttribute("aria-current", "true");
        return element("li", {}, button);
      }),
    );
  }

  function draw_rest() {
    summary.textContent = model.get("summary");
    about.textContent = model.get("about");
    const busy = model.get("busy");
    const focused = document.activeElement;
    undo.disabled = !model.get("can_undo");
    redo.disabled = !model.get("can_redo");
    if (focused === undo && undo.disabled) redo.focus();
    if (focused === redo && redo.disabled) undo.focus();
    // A button that is disabled or replaced loses the focus, and the keyboard its place: while busy
    // they only say so.
    for (const button of [undo, redo, apply, ...list.querySelectorAll("button:enabled")])
      button.setAttribute("aria-disabled", String(busy));
    root.dataset.busy = String(busy);
    status.textContent = model.get("error") || (busy ? "reading …" : "");
    status.dataset.error = String(Boolean(model.get("error")));
  }

  function draw() {
    draw_text();
    draw_panel();
    draw_rest();
    // What is being typed there is not lost for a click on a candidate.
    if (editor.hidden || area.value === offered || area.value === sent) {
      area.value = whole();
      offered = area.value; // with the line breaks of a text area
    }
    sent = "";
    if (refocus) root.querySelector(/** @type {any} */ (refocus))?.focus();
    refocus = "";
  }

  /** @param {number} place @param {boolean} focus */
  function select(place, focus) {
    model.set("selected", place);
    model.save_changes();
    draw_panel();
    if (focus)
      /** @type {HTMLElement | null} */ (text.querySelector(`[data-place="${place}"]`))?.focus();
  }

  text.onclick = ({ target }) => {
    const node = /** @type {HTMLElement} */ (target).closest?.("[data-place]");
    if (node) select(Number(/** @type {HTMLElement} */ (node).dataset.place), true);
  };
  text.onkeydown = (event) => {
    const place = Math.min(model.get("selected"), last_place());
    const to = place_after(
      event.key,
      place,
      last_place(),
      getComputedStyle(text).direction === "rtl",
    );
    if (to !== null) select(to, true);
    else if (event.key === "ArrowDown" || event.key === "Enter" || event.key === " ")
      /** @type {HTMLElement | null} */ (list.querySelector("button:enabled"))?.focus();
    else return;
    event.preventDefault();
  };
  list.onkeydown = (event) => {
    const buttons = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("button:enabled")]);
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (event.key === "ArrowDown") buttons[at + 1]?.focus();
    else if (event.key === "ArrowUp" && at > 0) buttons[at - 1].focus();
    else if (event.key === "ArrowUp" || event.key === "Escape")
      /** @type {HTMLElement | null} */ (text.querySelector('[tabindex="0"]'))?.focus();
    else return;
    event.preventDefault();
  };
  list.onclick = ({ target }) => {
    const button = /** @type {HTMLElement} */ (target).closest?.("button");
    if (!button) return;
    const place = Math.min(model.get("selected"), last_place());
    refocus = button === document.activeElement ? ".llm-candidates button:enabled" : "";
    send({
      do: "choose",
      place,
      candidate: Number(/** @type {HTMLElement} */ (button).dataset.candidate),
      drop: drop.checked && !drop_label.hidden,
    });
  };
  undo.onclick = () => send({ do: "undo" });
  redo.onclick = () => send({ do: "redo" });
  edit.onclick = () => {
    editor.hidden = !editor.hidden;
    edit.setAttribute("aria-expanded", String(!editor.hidden));
    if (!editor.hidden) area.focus();
  };
  apply.onclick = () => {
    sent = area.value;
    send({ do: "read", text: sent });
  };
  root.onkeydown = (event) => {
    event.stopPropagation(); // the notebook has its own meaning for many keys
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter" && event.target === area) apply.click();
    else if (control && event.target !== area && event.key.toLowerCase() === "z" && !event.shiftKey)
      undo.click();
    else if (
      control &&
      event.target !== area &&
      (event.key.toLowerCase() === "y" || event.key.toLowerCase() === "z")
    )
      redo.click();
    else return;
    event.preventDefault();
  };

  // The traits of one answer come in one message, the version as one of them; drawing waits for
  // all.
  const later = () => queueMicrotask(draw);
  const listeners = /** @type {[string, () => void][]} */ ([
    ["change:version", later],
    ["change:busy", draw_rest],
    ["change:error", draw_rest],
    ["change:selected", draw_panel],
  ]);
  for (const [event, callback] of listeners) model.on(event, callback);
  draw();
  return () => listeners.forEach(([event, callback]) => model.off(event, callback));
}

export default { render };
