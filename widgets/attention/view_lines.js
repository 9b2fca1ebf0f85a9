import { fitted } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { HEAD_COLOURS } from "./colours.js";
import { FAINTEST, row_levels, stroke_links } from "./links.js";
import {
  clamped,
  direction_of,
  head_name,
  heads_of,
  marked_token,
  segment_block,
  short_token,
  weight_of,
} from "./state.js";

// Token-to-token lines, several heads at once; only what is in view is drawn, so a long text
// scrolls.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {import("./state.js").Head} Head
 * @typedef {import("./state.js").Token} Token
 * @typedef {{ left: number, right: number, width: number, height: number, scroll: number }} Layout
 */

const PITCH = 19;
const LINES_HIGHEST_PX = 560;
const LINES_WIDEST_PX = 640;
const LINES_FONT_PX = 12.5;
const BLOCK_PX = 10;
const ALL_ROWS_UP_TO = 96;

/**
 * The token under a point, or null.
 * @param {Layout} layout
 * @param {{ rows: number, columns: number }} size
 * @param {number} x
 * @param {number} y
 * @returns {Token | null}
 */
export function token_at({ left, right, scroll }, { rows, columns }, x, y) {
  const place = Math.floor((y + scroll) / PITCH);
  if (x < left && place >= 0 && place < rows) return { side: "row", place };
  if (x > right && place >= 0 && place < columns) return { side: "column", place };
  return null;
}

/**
 * Where an arrow key leads from a token; null for a key that moves nothing.
 * @param {string} pressed
 * @param {Token | null} at
 * @param {{ rows: number, columns: number }} size
 * @returns {Token | null}
 */
export function token_moved(pressed, at, { rows, columns }) {
  if (!/^Arrow(Up|Down|Left|Right)$/.test(pressed)) return null;
  if (!at) return { side: "row", place: 0 };
  const count = (/** @type {Token["side"]} */ side) => (side === "row" ? rows : columns);
  const side = pressed === "ArrowLeft" ? "row" : pressed === "ArrowRight" ? "column" : at.side;
  const step = pressed === "ArrowUp" ? -1 : pressed === "ArrowDown" ? 1 : 0;
  return { side, place: clamped(at.place + step, 0, count(side) - 1) };
}

/** @param {Explorer} explorer */
export function lines_view(explorer) {
  const canvas = element("canvas", {
    class: "llm-links",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "attention lines",
  });
  const spacer = element("div", { class: "llm-spacer" });
  const scroller = element("div", { class: "llm-scroller" }, canvas, spacer);
  const legend = element("div", { class: "llm-head-legend" });
  const value = element("div", { class: "llm-value" });
  const root = element("div", { class: "llm-view-lines" }, legend, scroller, value);
  /** @type {Token | null} */
  let pointed = null;
  let scrolled_to = "";
  let layout = { left: 0, right: 0, width: 0, height: 0, scroll: 0 };

  const size = () => ({ rows: explorer.rows().length, columns: explorer.columns().length });
  /** The token whose lines alone are shown: under the pointer, otherwise the marked one. */
  const focus = () => pointed ?? marked_token(explorer.selection());
  const drawn_heads = () => heads_of(explorer.selection()).slice(0, HEAD_COLOURS.length);
  /** The rows whose lines are drawn. */
  function drawn_rows() {
    const [at, { rows }] = [focus(), size()];
    if (at?.side === "row") return [at.place, at.place + 1];
    const is_short =
      rows <= ALL_ROWS_UP_TO || (at && explorer.requests.picture(explorer.head())?.level === 0);
    if (is_short) return [0, rows];
    return [
      Math.max(0, Math.floor(layout.scroll / PITCH)),
      Math.min(rows, Math.ceil((layout.scroll + layout.height) / PITCH)),
    ];
  }
  /** @param {Head} head @param {number} side_step moves the ends of several heads apart */
  function* links(head, side_step) {
    const [at, kept, marked] = [
      focus(),
      segment_block(explorer.panel(), explorer.selection().segment),
      explorer.selection(),
    ];
    const [first, end] = drawn_rows();
    const [top, bottom] = [layout.scroll - PITCH, layout.scroll + layout.height + PITCH];
    const chosen = { rows: new Set(marked.rows), columns: new Set(marked.columns) };
    for (let row = first; row < end; row++) {
      if (kept && (row < kept.row || row >= kept.row + kept.rows)) continue;
      if (!at && chosen.rows.size && !chosen.rows.has(row)) continue;
      const levels = row_levels(explorer.requests, head, row, explorer.exact_rows());
      if (!levels) continue;
      const y0 = (row + 0.5) * PITCH;
      for (let column = 0; column < levels.length; column++) {
        if (levels[column] < FAINTEST || (at?.side === "column" && column !== at.place)) continue;
        if (kept && (column < kept.column || column >= kept.column + kept.columns)) continue;
        if (!at && chosen.columns.size && !chosen.columns.has(column)) continue;
        const y1 = (column + 0.5) * PITCH;
        if ((y0 < top && y1 < top) || (y0 > bottom && y1 > bottom)) continue;
        yield {
          x0: layout.left,
          y0: y0 - layout.scroll + side_step,
          x1: layout.right,
          y1: y1 - layout.scroll + side_step,
          level: levels[column],
        };
      }
    }
  }
  /** Blocks in the colours of the heads beside the tokens that the focused one is tied to. */
  function draw_blocks(/** @type {CanvasRenderingContext2D} */ context, /** @type {Token} */ at) {
    drawn_heads().forEach((head, i) => {
      context.fillStyle = HEAD_COLOURS[i];
      const count = at.side === "row" ? size().columns : size().rows;
      const own =
        at.side === "row"
          ? row_levels(explorer.requests, head, at.place, explorer.exact_rows())
          : null;
      const [from, to] = [
        Math.floor(layout.scroll / PITCH),
        Math.min(count, Math.ceil((layout.scroll + layout.height) / PITCH)),
      ];
      for (let place = from; place < to; place++) {
        const level =
          at.side === "row"
            ? own?.[place]
            : row_levels(explorer.requests, head, place, false)?.[at.place];
        context.globalAlpha = weight_of(level ?? 0);
        const x =
          at.side === "row"
            ? layout.right + 4 + i * BLOCK_PX
            : layout.left - 4 - (i + 1) * BLOCK_PX;
        context.fillRect(x, place * PITCH - layout.scroll + 2, BLOCK_PX - 1, PITCH - 4);
      }
    });
    context.globalAlpha = 1;
  }
  function draw_tokens(
    /** @type {CanvasRenderingContext2D} */ context,
    /** @type {number} */ inset,
  ) {
    const [theme, at, { rows, columns }] = [explorer.theme(), focus(), explorer.selection()];
    context.textBaseline = "middle";
    for (const [side, tokens, marked] of /** @type {[Token["side"], string[], number[]][]} */ ([
      ["row", explorer.rows(), rows],
      ["column", explorer.columns(), columns],
    ])) {
      context.textAlign = side === "row" ? "right" : "left";
      const x = side === "row" ? layout.left - 8 - inset : layout.right + 8 + inset;
      const chosen = new Set(marked);
      for (
        let i = Math.floor(layout.scroll / PITCH);
        i < Math.min(tokens.length, (layout.scroll + layout.height) / PITCH);
        i++
      ) {
        const strong = (at?.side === side && at.place === i) || chosen.has(i);
        context.fillStyle = strong || !at ? theme.ink : theme.muted;
        context.font = `${strong ? "600 " : ""}${LINES_FONT_PX}px ${theme.font}`;
        context.direction = direction_of(tokens[i]);
        context.fillText(short_token(tokens[i]), x, (i + 0.5) * PITCH - layout.scroll);
      }
    }
  }
  function draw_legend() {
    const [heads, shown] = [heads_of(explorer.selection()), drawn_heads()];
    const chips = shown.map((head, i) => {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.background = HEAD_COLOURS[i];
      const drop = element(
        "button",
        {
          type: "button",
          class: "llm-chip",
          title: i ? `Leave ${head_name(head)} out` : "The enlarged head",
        },
        swatch,
        head_name(head),
      );
      drop.disabled = i === 0;
      drop.onclick = () => explorer.toggle_head(head);
      return drop;
    });
    const more =
      heads.length > shown.length
        ? `${heads.length - shown.length} more marked; there are colours for ${HEAD_COLOURS.length}`
        : "Shift-click, or space on a head, adds it";
    legend.replaceChildren(...chips, element("span", { class: "llm-muted" }, more));
  }
  function describe() {
    const at = focus();
    const names = drawn_heads().map(head_name).join(", ");
    canvas.setAttribute(
      "aria-label",
      `lines of ${names}, ${size().rows} by ${size().columns} tokens`,
    );
    if (!row_levels(explorer.requests, explorer.head(), drawn_rows()[0], explorer.exact_rows()))
      return value.replaceChildren(explorer.waiting_text());
    if (!at)
      return value.replaceChildren(
        element(
          "span",
          { class: "llm-muted" },
          "Left looks at right. Point at a token to see only its lines; click to keep it.",
        ),
      );
    const token = at.side === "row" ? explorer.rows()[at.place] : explorer.columns()[at.place];
    const parts = drawn_heads().flatMap((head) => {
      const all =
        at.side === "row"
          ? row_levels(explorer.requests, head, at.place, explorer.exact_rows())
          : Uint8Array.from(
              { length: size().rows },
              (_, row) => row_levels(explorer.requests, head, row, false)?.[at.place] ?? 0,
            );
      const best = all?.reduce((top, level, i) => (level > all[top] ? i : top), 0) ?? 0;
      if (!all || all[best] < FAINTEST) return [];
      const other = at.side === "row" ? explorer.columns()[best] : explorer.rows()[best];
      return [
        ` · ${head_name(head)} `,
        element("bdi", {}, other),
        ` ${weight_of(all[best]).toFixed(2)}`,
      ];
    });
    value.replaceChildren(
      element("b", {}, element("bdi", {}, token)),
      at.side === "row" ? " looks at" : " is looked at by",
      ...parts,
    );
    if (document.activeElement === canvas) explorer.tell(value.textContent ?? "");
  }
  /** Scrolls to a token that was marked elsewhere. */
  function show_marked() {
    const token = marked_token(explorer.selection());
    if (JSON.stringify(token) === scrolled_to) return;
    scrolled_to = JSON.stringify(token);
    if (
      !token ||
      (token.place * PITCH >= layout.scroll &&
        (token.place + 1) * PITCH <= layout.scroll + layout.height)
    )
      return;
    scroller.scrollTop = token.place * PITCH - layout.height / 2;
    layout.scroll = scroller.scrollTop;
  }
  function point(/** @type {Token | null} */ to) {
    if (to?.side === pointed?.side && to?.place === pointed?.place) return;
    pointed = to;
    explorer.redraw();
  }
  function keep(/** @type {Token | null} */ token) {
    const is_row = token?.side === "row";
    explorer.select({
      rows: token && is_row ? [token.place] : [],
      columns: token && !is_row ? [token.place] : [],
    });
  }
  scroller.onscroll = explorer.redraw;
  canvas.onpointermove = (event) => point(token_at(layout, size(), event.offsetX, event.offsetY));
  canvas.onpointerleave = canvas.onblur = () => point(null);
  canvas.onclick = (event) => keep(token_at(layout, size(), event.offsetX, event.offsetY));
  canvas.onkeydown = (event) => {
    const to = token_moved(event.key, pointed, size());
    if (to) {
      point(to);
      scroller.scrollTop = clamped(
        scroller.scrollTop,
        (to.place + 1) * PITCH - layout.height,
        to.place * PITCH,
      );
    } else if (event.key === "Enter") keep(pointed);
    else if (event.key === "Escape") {
      if (!explorer.selection().rows.length && !explorer.selection().columns.length)
        explorer.leave();
      keep(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return {
    root,
    draw() {
      const { rows, columns } = size();
      const total = Math.max(rows, columns) * PITCH;
      const heads = drawn_heads();
      const width = Math.min(LINES_WIDEST_PX, root.clientWidth || LINES_WIDEST_PX) - 14;
      const inset = focus() ? heads.length * BLOCK_PX : 0;
      const label = Math.min(150, width * 0.27);
      layout = {
        left: label,
        right: width - label,
        width,
        height: Math.min(LINES_HIGHEST_PX, total),
        scroll: scroller.scrollTop,
      };
      scroller.style.maxHeight = `${layout.height}px`;
      spacer.style.height = `${total - layout.height}px`;
      show_marked();
      const context = fitted(canvas, width, layout.height);
      heads.forEach((head, i) =>
        stroke_links(
          context,
          links(head, heads.length > 1 ? (i - (heads.length - 1) / 2) * 2 : 0),
          HEAD_COLOURS[i],
          "across",
        ),
      );
      const at = focus();
      if (at) draw_blocks(context, at);
      draw_tokens(context, inset);
      canvas.dataset.heads = heads.map(head_name).join(" ");
      draw_legend();
      describe();
    },
    focus: () => canvas.focus(),
    about: () => "",
  };
}
