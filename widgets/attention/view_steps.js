import { element } from "../shared/elements.js";
import { clamped } from "./state.js";
import { map_view } from "./view_map.js";

// A slider over what changes: the sources (training steps, models), or the tokens that the model
// wrote one after another.

/** @typedef {import("./frame.js").Explorer} Explorer */

const PLAY_EVERY_MS = 450;

/**
 * What the slider goes through: sources when there are several, otherwise the rows that the model
 * wrote by itself.
 * @param {number} sources @param {number | null} first_step @param {number} rows
 * @returns {{ of: "sources" | "rows", first: number, last: number }}
 */
export const steps_range = (sources, first_step, rows) =>
  sources > 1
    ? { of: "sources", first: 0, last: sources - 1 }
    : { of: "rows", first: clamped(first_step ?? 0, 0, rows - 1), last: rows - 1 };

/** @param {Explorer} explorer */
export function steps_view(explorer) {
  const play = element(
    "button",
    {
      type: "button",
      class: "llm-play",
      "aria-label": "play",
      title: "Play from here to the last step",
    },
    "▶",
  );
  const slider = element("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "step" });
  const shown = element("output", { dir: "auto" });
  const map = map_view(explorer);
  const root = element(
    "div",
    { class: "llm-view-steps" },
    element("div", { class: "llm-steps" }, play, slider, shown),
    map.root,
  );
  let timer = 0;

  const range = () =>
    steps_range(explorer.sources().length, explorer.panel().first_step, explorer.rows().length);
  function at() {
    const { of, first, last } = range();
    const { source, step } = explorer.selection();
    return of === "sources" ? source : clamped(step ?? last, first, last);
  }
  function text() {
    if (range().of === "sources") return explorer.source_name(explorer.selection().source);
    const row = at();
    const word = explorer.panel().first_step === null ? "row" : "step";
    return `${word} ${row - range().first + 1}: ${explorer.rows()[row]}`;
  }
  function go(/** @type {number} */ to) {
    const { of, first, last } = range();
    const place = clamped(to, first, last);
    explorer.select(of === "sources" ? { source: place } : { step: place });
  }
  function stop() {
    window.clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play");
  }
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "stop playing");
    if (at() >= range().last) go(range().first);
    timer = window.setInterval(
      () => (!root.isConnected || root.hidden || at() >= range().last ? stop() : go(at() + 1)),
      PLAY_EVERY_MS,
    );
  };
  slider.oninput = () => {
    stop();
    go(Number(slider.value));
  };
  slider.onchange = () => explorer.tell(text());
  slider.onkeydown = (event) => {
    event.stopPropagation(); // the slider's own keys are not the notebook's
    if (event.key === "Escape") explorer.leave();
  };
  return {
    root,
    draw() {
      const { of, first, last } = range();
      [slider.min, slider.max, slider.value] = [String(first), String(last), String(at())];
      slider.disabled = play.disabled = first >= last;
      slider.setAttribute("aria-valuetext", text());
      shown.textContent = text();
      map.draw(of === "rows" ? at() + 1 : null);
    },
    focus: () => slider.focus(),
    about: map.about,
  };
}
