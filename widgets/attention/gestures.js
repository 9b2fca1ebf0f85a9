import { around, bounded, cell_at, showing, zoomed } from "./viewport.js";

// Pointer and keys on a map: point at a cell, zoom, pan, mark a rectangle of tokens.

/**
 * @typedef {import("./state.js").Cell} Cell
 * @typedef {import("./state.js").Block} Block
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {import("./viewport.js").Area} Area
 * @typedef {{ area: Area, fit: Viewport, size: { rows: number, columns: number } }} Layout
 * @typedef {{
 *   viewport: Viewport | null, at: Cell | null, draft: Block | null,
 * }} State viewport null: all of the map; draft: tokens being marked
 * @typedef {{
 *   x: number, y: number, from: Cell | null, start: Viewport, marks: boolean, moved: boolean,
 * }} Drag
 * @typedef {{
 *   changed: () => void, pointed: (at: Cell | null) => void,
 *   marked: (block: Block | null) => void, leave: () => void,
 * }} Told
 */

const ZOOM_STEP = 1.5;
const DRAG_PX = 4;
const MOVES = /** @type {Record<string, [number, number]>} */ ({
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
});

/** The smallest rectangle with both cells. @param {Cell} a @param {Cell} b @returns {Block} */
export const spanned = (a, b) => ({
  row: Math.min(a.row, b.row),
  column: Math.min(a.column, b.column),
  rows: Math.abs(a.row - b.row) + 1,
  columns: Math.abs(a.column - b.column) + 1,
});

/**
 * What a key means to the cell pointed at: one step, a page with Ctrl, to the edge with Home and
 * End; null for others.
 * @param {{ key: string, ctrlKey: boolean, metaKey: boolean }} event
 * @param {Cell | null} at
 * @param {{ rows: number, columns: number }} size
 * @returns {Cell | null}
 */
export function stepped({ key, ctrlKey, metaKey }, at, { rows, columns }) {
  if (key === "Home" || key === "End")
    return { row: at?.row ?? 0, column: key === "Home" ? 0 : columns - 1 };
  const step = MOVES[key];
  if (!step) return null;
  if (!at) return { row: 0, column: 0 };
  const far = ctrlKey || metaKey ? 10 : 1;
  const inside = (/** @type {number} */ value, /** @type {number} */ count) =>
    Math.min(count - 1, Math.max(0, value));
  return {
    row: inside(at.row + step[0] * far, rows),
    column: inside(at.column + step[1] * far, columns),
  };
}

/** @returns {State} */
export const still_state = () => ({ viewport: null, at: null, draft: null });

/**
 * Makes `canvas` a map to move around in; several canvases of one `state` move together.
 * @param {HTMLCanvasElement} canvas
 * @param {State} state
 * @param {() => Layout | null} layout
 * @param {Told} told
 */
export function map_gestures(canvas, state, layout, told) {
  /** @type {Drag | null} */
  let drag = null;
  /** @type {Cell | null} */
  let anchor = null; // of a rectangle begun with Enter

  const now = () => state.viewport ?? layout()?.fit ?? { row: 0, column: 0, cell: 1 };
  function look(/** @type {Viewport} */ next) {
    const smallest = layout()?.fit.cell ?? next.cell;
    state.viewport = next.cell <= smallest * 1.0001 ? null : next;
    told.changed();
  }
  function zoom(/** @type {number} */ factor, /** @type {number} */ x, /** @type {number} */ y) {
    const shown = layout();
    if (shown) look(zoomed(now(), factor, x, y, shown.size, shown.area, shown.fit.cell));
  }
  function pan(/** @type {number} */ rows, /** @type {number} */ columns, start = now()) {
    const shown = layout();
    if (shown)
      look(
        bounded(
          { ...start, row: start.row + rows, column: start.column + columns },
          shown.size,
          shown.area,
          shown.fit.cell,
        ),
      );
  }
  function point(/** @type {Cell | null} */ at) {
    if (at?.row === state.at?.row && at?.column === state.at?.column) return;
    state.at = at;
    told.pointed(at);
  }
  const under = (/** @type {MouseEvent} */ event) => {
    const shown = layout();
    return shown && cell_at(now(), shown.size, shown.area, event.offsetX, event.offsetY);
  };
  function middle() {
    const shown = layout();
    if (!shown) return [0, 0];
    const { area } = shown;
    const { row, column, cell } = now();
    if (state.at)
      return [
        area.left + (state.at.column + 0.5 - column) * cell,
        area.top + (state.at.row + 0.5 - row) * cell,
      ];
    return [area.left + area.width / 2, area.top + area.height / 2];
  }

  canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    drag = {
      x: event.offsetX,
      y: event.offsetY,
      from: under(event),
      start: now(),
      marks: event.shiftKey,
      moved: false,
    };
  };
  canvas.onpointermove = (event) => {
    const at = under(event);
    if (!drag) return point(at);
    drag.moved ||= Math.hypot(event.offsetX - drag.x, event.offsetY - drag.y) > DRAG_PX;
    if (!drag.moved) return;
    if (!drag.marks)
      return pan(
        (drag.y - event.offsetY) / drag.start.cell,
        (drag.x - event.offsetX) / drag.start.cell,
        drag.start,
      );
    if (drag.from && at) state.draft = spanned(drag.from, at);
    told.changed();
  };
  canvas.onpointerup = () => {
    if (drag?.from && (drag.marks || !drag.moved))
      told.marked(state.draft ?? spanned(drag.from, drag.from));
    [drag, state.draft] = [null, null];
    told.changed();
  };
  canvas.onpointercancel = () => {
    [drag, state.draft] = [null, null];
    told.changed();
  };
  canvas.onpointerleave = () => !drag && document.activeElement !== canvas && point(null);
  canvas.onblur = () => point(null);
  canvas.ondblclick = (event) => zoom(2, event.offsetX, event.offsetY);
  canvas.addEventListener(
    "wheel",
    (event) => {
      // A page of a notebook must still scroll past the map: it zooms once it was clicked, or with
      // Ctrl or a pinch.
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), event.offsetX, event.offsetY);
    },
    { passive: false },
  );

  function enter() {
    if (!state.at) return;
    if (!anchor) [anchor, state.draft] = [state.at, spanned(state.at, state.at)];
    else {
      told.marked(spanned(anchor, state.at));
      [anchor, state.draft] = [null, null];
    }
    told.changed();
  }
  function escape() {
    if (anchor) {
      [anchor, state.draft] = [null, null];
      told.changed();
    } else if (state.viewport) {
      state.viewport = null;
      told.changed();
    } else told.leave();
  }
  function move(/** @type {KeyboardEvent} */ event) {
    const shown = layout();
    const far = MOVES[event.key];
    if (shown && event.shiftKey && far)
      return (
        pan(
          (far[0] * shown.area.height) / now().cell / 4,
          (far[1] * shown.area.width) / now().cell / 4,
        ),
        true
      );
    const to = shown && stepped(event, state.at, shown.size);
    if (!to) return false;
    if (state.viewport)
      state.viewport = showing(state.viewport, to, shown.size, shown.area, shown.fit.cell);
    if (anchor) state.draft = spanned(anchor, to);
    point(to);
    return true;
  }
  canvas.onkeydown = (event) => {
    const [x, y] = middle();
    const done = {
      "+": () => zoom(ZOOM_STEP, x, y),
      "=": () => zoom(ZOOM_STEP, x, y),
      "-": () => zoom(1 / ZOOM_STEP, x, y),
      0: () => zoom(0, x, y),
      Enter: enter,
      Escape: escape,
    }[event.key];
    if (done) done();
    else if (!move(event)) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would move to the next cell
  };
  return {
    zoom: (/** @type {number} */ factor) =>
      zoom(factor, .../** @type {[number, number]} */ (middle())),
    /** Shows a block, or all of it. @param {Block | null} block */
    show(block) {
      const shown = layout();
      state.viewport =
        block && shown ? around(block, shown.size, shown.area, shown.fit.cell) : null;
    },
  };
}
