import { element } from "../shared/elements.js";
import { number_text } from "../shared/numbers.js";
import { head_name } from "./state.js";

// What the model says with some heads silenced, beside what it says with all of them.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./requests.js").Prediction} Prediction
 */

const KIND_TEXT = /** @type {Record<string, string>} */ ({
  "next-token": "next token",
  target: "its own words",
  mask: "at the mask",
  label: "label",
  embedding: "sentence embedding",
});

/**
 * How each entry of `after` changed; null for one that was not there before.
 * @param {Prediction} before @param {Prediction} after
 * @returns {(number | null)[]}
 */
export function changes_of(before, after) {
  // The words of a target come in their order, and one may stand there twice.
  if (after.kind === "target")
    return after.entries.map(([, value], i) => value - before.entries[i][1]);
  const known = new Map(before.entries);
  return after.entries.map(([text, value]) =>
    known.has(text) ? value - /** @type {number} */ (known.get(text)) : null,
  );
}

/** "−0.12" with a real minus sign. @param {number} value */
const signed = (value) =>
  `${value > 0 ? "+" : value < 0 ? "−" : "±"}${number_text(Math.abs(value), 2)}`;

/**
 * @param {string} title
 * @param {Prediction} prediction
 * @param {(number | null)[] | null} changes
 */
function bar_list(title, { kind, entries }, changes) {
  const rows = entries.map(([text, value], i) => {
    const bar = element("i", { "aria-hidden": "true" });
    bar.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
    const change = changes?.[i];
    const moved = changes
      ? element(
          "span",
          { class: "llm-change" },
          change === null || change === undefined ? "new" : signed(change),
        )
      : "";
    return element(
      "li",
      {},
      element("bdi", { class: "llm-entry" }, text),
      element("span", { class: "llm-track" }, bar),
      element("span", { class: "llm-number" }, number_text(value)),
      moved,
    );
  });
  return element(
    "div",
    { class: "llm-prediction" },
    element("div", { class: "llm-muted" }, `${title} · ${KIND_TEXT[kind] ?? kind}`),
    element("ol", {}, ...rows),
  );
}

/** @param {Explorer} explorer */
export function silence_panel(explorer) {
  const silence = element("button", { type: "button", class: "llm-silence" });
  const none = element("button", { type: "button", class: "llm-silence-none" }, "Silence none");
  const names = element("span", { class: "llm-muted" });
  const buttons = element("span", { class: "llm-silencing" }, silence, none, names);
  const lists = element("div", { class: "llm-predictions" });
  silence.onclick = explorer.toggle_silence;
  none.onclick = () => explorer.select({ silenced: [] });
  let told = "";

  return {
    buttons,
    lists,
    draw() {
      const { kind, layer, head, silenced } = explorer.selection();
      buttons.hidden = lists.hidden = !explorer.can_predict();
      if (buttons.hidden) return;
      const is_silent = silenced.some(([k, l, h]) => k === kind && l === layer && h === head);
      silence.textContent = is_silent
        ? `Let ${head_name({ layer, head })} speak`
        : `Silence ${head_name({ layer, head })}`;
      silence.title = "Run the model without this head (s)";
      silence.setAttribute("aria-pressed", String(is_silent));
      none.hidden = !silenced.length;
      const silent = silenced.map(([k, l, h]) => {
        const name = head_name({ layer: l, head: h });
        return k === kind ? name : `${k} ${name}`;
      });
      names.textContent = silent.length ? `silent: ${silent.join(", ")}` : "";
      const change = silenced.length ? explorer.requests.predict(silenced) : null;
      if (!silenced.length) lists.replaceChildren();
      else if (!change)
        lists.replaceChildren(element("span", { class: "llm-muted" }, explorer.waiting_text()));
      else {
        const count = silenced.length === 1 ? "one head silent" : `${silenced.length} heads silent`;
        lists.replaceChildren(
          bar_list("all heads", change.before, null),
          bar_list(count, change.after, changes_of(change.before, change.after)),
        );
        const best = change.after.entries[0];
        const news = best ? `with ${count}: ${best[0]} ${number_text(best[1])}` : "";
        if (news !== told) explorer.tell((told = news));
      }
    },
  };
}
