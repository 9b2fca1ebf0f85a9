import { fitted } from "../shared/canvas.js";
import { element } from "../shared/elements.js";
import { FAINTEST, row_levels, stroke_links } from "./links.js";
import {
  direction_of,
  head_name,
  heads_of,
  is_right_to_left,
  level_of,
  marked_token,
  range_of,
  segment_block,
  strongest,
  weight_of,
} from "./state.js";

// The alignment under the sentences: the words looked at above, the words that look below, and
// weighted links between.

/**
 * @typedef {import("./frame.js").Explorer} Explorer
 * @typedef {{ place: number, x: number, width: number, band: number }} Word x: its left edge
 * @typedef {import("./state.js").Token} Token
 */

const CROSS_FONT_PX = 13;
const WORD_GAP = 9;
const BAND_PX = 168;
const ABOVE_PX = 18;
const BELOW_PX = 128;
const CROSS_HIGHEST_PX = 560;
const CROSS_WIDEST_PX = 900;
const MOST_LINKED_ROWS = 160;

/**
 * Words set in bands of at most `room` pixels.
 * @param {number[]} widths @param {number} bands into how many lines at least @param {number} room
 * @returns {{ words: Word[], bands: number }}
 */
export function set_in_bands(widths, bands, room) {
  const share = widths.reduce((sum, width) => sum + width + WORD_GAP, 0) / bands;
  /** @type {Word[]} */
  const words = [];
  let [x, band, done] = [0, 0, 0];
  widths.forEach((width, place) => {
    const is_due = band + 1 < bands && done + width / 2 > share * (band + 1);
    if (x && (is_due || x + width > room)) [x, band] = [0, band + 1];
    words.push({ place, x, width, band });
    x += width + WORD_GAP;
    done += width + WORD_GAP;
  });
  return { words, bands: band + 1 };
}

/**
 * Both texts in the same number of bands, so that what belongs together stands near; a text that is
 * written from right to left begins at the right edge of the longest band.
 * @param {number[]} above
 * @param {number[]} below
 * @param {number} room
 * @param {[boolean, boolean]} from_right
 */
export function banded(above, below, room, from_right) {
  let bands = 1;
  for (;;) {
    const [first, second] = [set_in_bands(above, bands, room), set_in_bands(below, bands, room)];
    const needed = Math.max(first.bands, second.bands);
    if (needed > bands) {
      bands = Math.max(needed, bands + 1);
      continue;
    }
    const edge = Math.max(
      ...first.words.map(({ x, width }) => x + width),
      ...second.words.map(({ x, width }) => x + width),
    );
    const turned = (/** @type {Word[]} */ words) =>
      words.map((word) => ({ ...word, x: edge - word.x - word.width }));
    return {
      above: from_right[0] ? turned(first.words) : first.words,
      below: from_right[1] ? turned(second.words) : second.words,
      bands,
    };
  }
}

/** @param {Explorer} explorer */
export function cross_view(explorer) {
  const canvas = element("canvas", {
    class: "llm-links",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "alignment",
  });
  const spacer = element("div", { class: "llm-spacer" });
  const scroller = element("div", { class: "llm-scroller" }, canvas, spacer);
  const value = element("div", { class: "llm-value" });
  const root = element("div", { class: "llm-view-cross" }, scroller, value);
  /** @type {{ above: Word[], below: Word[], bands: number }} */
  let layout = { above: [], below: [], bands: 1 };
  let laid_out = "";
  /** @type {Token | null} */
  let pointed = null;
  let scroll = 0;

  function lay_out(/** @type {number} */ room) {
    const [rows, columns, { source, kind }] = [
      explorer.rows(),
      explorer.columns(),
      explorer.selection(),
    ];
    const wanted = [source, kind, room, rows.length, columns.length].join("/");
    if (wanted === laid_out) return;
    laid_out = wanted;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.font = `${CROSS_FONT_PX}px ${explorer.theme().font}`;
    const widths = (/** @type {string[]} */ tokens) =>
      tokens.map((token) => Math.min(room, context.measureText(token).width));
    layout = banded(widths(columns), widths(rows), room, [
      is_right_to_left(columns),
      is_right_to_left(rows),
    ]);
  }
  const y_of = (/** @type {Token["side"]} */ side, /** @type {Word} */ word) =>
    word.band * BAND_PX + (side === "column" ? ABOVE_PX : BELOW_PX) - scroll;
  /** The mean weights, as bytes, of the drawn heads in one row. @returns {Uint8Array | null} */
  function levels_of(/** @type {number} */ row) {
    const all = heads_of(explorer.selection()).map((head) =>
      row_levels(explorer.requests, head, row, explorer.exact_rows()),
    );
    const known = all.filter((levels) => levels !== null);
    if (known.length < all.length || !known.length) return null;
    if (known.length === 1) return known[0];
    return known[0].map((_, i) =>
      level_of(known.reduce((sum, levels) => sum + weight_of(levels[i]), 0) / known.length),
    );
  }
  const focus = () => pointed ?? marked_token(explorer.selection());
  function rows_in_view(/** @type {number} */ height) {
    const at = focus();
    if (at?.side === "row") return [at.place];
    const seen = layout.below
      .filter((word) => (word.band + 1) * BAND_PX > scroll && word.band * BAND_PX < scroll + height)
      .map(({ place }) => place);
    const from = Math.max(0, (seen[0] ?? 0) - 8);
    return range_of(
      from,
      Math.min(explorer.rows().length - from, seen.length + 16, MOST_LINKED_ROWS),
    );
  }
  function* links(/** @type {number} */ height) {
    const [at, kept] = [focus(), segment_block(explorer.panel(), explorer.selection().segment)];
    for (const row of rows_in_view(height)) {
      if (kept && (row < kept.row || row >= kept.row + kept.rows)) continue;
      const [levels, from] = [levels_of(row), layout.below[row]];
      if (!levels) continue;
      for (let column = 0; column < levels.length; column++) {
        if (levels[column] < FAINTEST || (at?.side === "column" && at.place !== column)) continue;
        if (kept && (column < kept.column || column >= kept.column + kept.columns)) continue;
        const to = layout.above[column];
        yield {
          x0: from.x + from.width / 2,
          y0: y_of("row", from) - 11,
          x1: to.x + to.width / 2,
          y1: y_of("column", to) + 11,
          level: levels[column],
        };
      }
    }
  }
  /** How strongly each token is tied to the focused one, as bytes. */
  function ties(/** @type {Token} */ at, /** @type {Token["side"]} */ side) {
    if (at.side === side) return null;
    if (at.side === "row") return levels_of(at.place);
    return Uint8Array.from(
      { length: explorer.rows().length },
      (_, row) => (explorer.rows().length <= 512 ? levels_of(row)?.[at.place] : 0) ?? 0,
    );
  }
  function draw_words(
    /** @type {CanvasRenderingContext2D} */ context,
    /** @type {number} */ height,
  ) {
    const [theme, at] = [explorer.theme(), focus()];
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const [side, tokens, words] of /** @type {[Token["side"], string[], Word[]][]} */ ([
      ["column", explorer.columns(), layout.above],
      ["row", explorer.rows(), layout.below],
    ])) {
      const tied = at && ties(at, side);
      for (const word of words) {
        const y = y_of(side, word);
        if (y < -20 || y > height + 20) continue;
        const is_at = at?.side === side && at.place === word.place;
        if (tied && tied[word.place] >= FAINTEST) {
          context.fillStyle = theme.accent;
          context.globalAlpha = 0.5 * weight_of(tied[word.place]);
          context.fillRect(word.x - 3, y - 10, word.width + 6, 20);
          context.globalAlpha = 1;
        }
        context.fillStyle = is_at ? theme.accent : theme.ink;
        context.font = `${is_at ? "600 " : ""}${CROSS_FONT_PX}px ${theme.font}`;
        context.direction = direction_of(tokens[word.place]);
        // an edge would mean the other side in text written from the right
        context.textAlign = "center";
        context.fillText(tokens[word.place], word.x + word.width / 2, y, word.width + 4);
      }
    }
  }
  /** @returns {Token | null} */
  function token_under(/** @type {number} */ x, /** @type {number} */ y) {
    for (const [side, words] of /** @type {[Token["side"], Word[]][]} */ ([
      ["column", layout.above],
      ["row", layout.below],
    ]))
      for (const word of words)
        if (Math.abs(y_of(side, word) - y) < 11 && x >= word.x - 4 && x <= word.x + word.width + 4)
          return { side, place: word.place };
    return null;
  }
  function describe() {
    const [at, heads] = [focus(), heads_of(explorer.selection())];
    const which = heads.length === 1 ? head_name(heads[0]) : `mean of ${heads.length} heads`;
    canvas.setAttribute(
      "aria-label",
      `${which}: ${explorer.rows().length} words below look at ${explorer.columns().length} above`,
    );
    if (!levels_of(rows_in_view(CROSS_HIGHEST_PX)[0]))
      return value.replaceChildren(explorer.waiting_text());
    if (!at)
      return value.replaceChildren(
        element(
          "span",
          { class: "llm-muted" },
          `${which} · words below look at words above. Point at a word to see only its links.`,
        ),
      );
    const token = at.side === "row" ? explorer.rows()[at.place] : explorer.columns()[at.place];
    const tied = ties(at, at.side === "row" ? "column" : "row");
    const other = at.side === "row" ? explorer.columns() : explorer.rows();
    const words = strongest(Array.from(tied ?? [], weight_of), 4)
      .filter(({ weight }) => weight >= 0.01)
      .flatMap(({ place, weight }, i) => [
        i ? ", " : " ",
        element("bdi", {}, other[place]),
        ` ${weight.toFixed(2)}`,
      ]);
    value.replaceChildren(
      element("b", {}, element("bdi", {}, token)),
      at.side === "row" ? " looks at" : " is looked at by",
      ...words,
    );
    if (document.activeElement === canvas) explorer.tell(value.textContent ?? "");
  }
  function point(/** @type {Token | null} */ to) {
    if (to?.side === pointed?.side && to?.place === pointed?.place) return;
    pointed = to;
    explorer.redraw();
  }
  const keep = (/** @type {Token | null} */ token) =>
    explorer.select({
      rows: token?.side === "row" ? [token.place] : [],
      columns: token?.side === "column" ? [token.place] : [],
    });
  scroller.onscroll = explorer.redraw;
  canvas.onpointermove = (event) => point(token_under(event.offsetX, event.offsetY));
  canvas.onpointerleave = canvas.onblur = () => point(null);
  canvas.onclick = (event) => keep(token_under(event.offsetX, event.offsetY));
  canvas.onkeydown = (event) => {
    const step = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 })[
      event.key
    ];
    const side =
      /** @type {Record<string, Token["side"]>} */ ({ ArrowUp: "column", ArrowDown: "row" })[
        event.key
      ] ??
      pointed?.side ??
      "row";
    if (step || event.key.startsWith("Arrow")) {
      const count = (side === "row" ? explorer.rows() : explorer.columns()).length;
      const turned = is_right_to_left(side === "row" ? explorer.rows() : explorer.columns())
        ? -1
        : 1;
      const place = pointed
        ? Math.min(count - 1, Math.max(0, pointed.place + (step ?? 0) * turned))
        : 0;
      point({ side, place });
      const word = (side === "row" ? layout.below : layout.above)[place];
      if (word.band * BAND_PX < scroll || (word.band + 1) * BAND_PX > scroll + CROSS_HIGHEST_PX)
        scroller.scrollTop = word.band * BAND_PX;
    } else if (event.key === "Enter") keep(pointed);
    else if (event.key === "Escape") explorer.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return {
    root,
    draw() {
      const width = Math.min(CROSS_WIDEST_PX, root.clientWidth || CROSS_WIDEST_PX) - 14;
      lay_out(width - 8);
      const total = layout.bands * BAND_PX - (BAND_PX - BELOW_PX - 16);
      const height = Math.min(CROSS_HIGHEST_PX, total);
      scroll = scroller.scrollTop;
      scroller.style.maxHeight = `${height}px`;
      spacer.style.height = `${total - height}px`;
      const context = fitted(canvas, width, height);
      stroke_links(context, links(height), explorer.theme().accent, "down");
      draw_words(context, height);
      canvas.dataset.bands = String(layout.bands);
      describe();
    },
    focus: () => canvas.focus(),
    about: () => "",
  };
}
