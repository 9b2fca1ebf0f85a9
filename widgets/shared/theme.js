import THEME from "./theme.json" with { type: "json" };

// The host's colours, and when they change.

/** @typedef {[number, number, number]} Rgb red, green and blue, 0…255 */
/**
 * @typedef {{
 *   ink: string, muted: string, line: string, accent: string, background: Rgb, dark: boolean,
 *   font: string,
 * }} Theme
 */

/**
 * @param {string} colour as getComputedStyle gives it
 * @returns {[number, number, number, number]}
 */
export function parse_colour(colour) {
  const parts = (colour.match(/[\d.]+/g) ?? []).map(Number);
  const scale = colour.startsWith("color(") ? 255 : 1;
  const [r = 0, g = 0, b = 0, alpha = 1] = parts;
  return [r * scale, g * scale, b * scale, alpha];
}

/**
 * The host's colours as they are now at `root`, which must be in the page.
 * @param {HTMLElement} root
 * @returns {Theme}
 */
export function theme_at(root) {
  const style = getComputedStyle(root);
  const text = parse_colour(style.color);
  /** @type {Rgb | null} */
  let background = null;
  for (
    let at = /** @type {HTMLElement | null} */ (root);
    at && !background;
    at = at.parentElement
  ) {
    const [r, g, b, alpha] = parse_colour(getComputedStyle(at).backgroundColor);
    if (alpha > 0.5) background = [r, g, b];
  }
  const bright_text = (text[0] + text[1] + text[2]) / 3 > 140;
  background ??= bright_text ? [17, 17, 17] : [255, 255, 255];
  const read = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
    style.getPropertyValue(name).trim() || otherwise;
  return {
    ink: style.color,
    muted: read("--llm-muted", THEME.ink),
    line: read("--llm-line", "rgba(128,128,128,.28)"),
    accent: read("--llm-accent", THEME.accent),
    background,
    dark: (background[0] + background[1] + background[2]) / 3 < 128,
    font: style.fontFamily || "system-ui, sans-serif",
  };
}

/**
 * Calls `changed` when the host switches its theme or `root` changes its width; returns what ends
 * that.
 * @param {HTMLElement} root @param {() => void} changed
 * @returns {() => void}
 */
export function on_theme_or_size(root, changed) {
  const theme = new MutationObserver(changed);
  const watched = {
    attributes: true,
    attributeFilter: [
      "class",
      "data-jp-theme-name",
      "data-jp-theme-light",
      "data-vscode-theme-kind",
    ],
  };
  theme.observe(document.body, watched);
  theme.observe(document.documentElement, watched);
  const size = new ResizeObserver(changed);
  size.observe(root);
  return () => {
    theme.disconnect();
    size.disconnect();
  };
}
