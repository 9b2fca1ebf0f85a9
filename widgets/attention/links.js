import { level_of } from "./state.js";

// Many weighted lines at once: a path for each of a few opacities, not one for each weight.

/**
 * @typedef {import("./state.js").Head} Head
 * @typedef {import("./requests.js").Requests} Requests
 * @typedef {{ x0: number, y0: number, x1: number, y1: number, level: number }} Link
 */

const BUCKETS = 12;
/** Weights below (12 / 255)² ≈ 0.002 are not drawn. */
export const FAINTEST = 12;

/** The opacity bucket of a companded byte; -1 for one too faint to draw. @param {number} level */
export const bucket_of = (level) =>
  level < FAINTEST
    ? -1
    : Math.min(BUCKETS - 1, Math.floor(((level - FAINTEST) * BUCKETS) / (256 - FAINTEST)));

/** Opacity and width of the lines in a bucket. @param {number} bucket */
export function line_style(bucket) {
  const strength = (bucket + 1) / BUCKETS;
  return { alpha: 0.08 + 0.92 * strength ** 1.6, width: 0.6 + 2 * strength };
}

/**
 * The companded weights of one row, or null until they have come.
 * @param {Requests} requests
 * @param {Head} head
 * @param {number} row
 * @param {boolean} exact whether rows can be asked for
 * @returns {Uint8Array | null}
 */
export function row_levels(requests, head, row, exact) {
  const picture = requests.picture(head);
  if (!picture) return null;
  if (picture.level === 0)
    return picture.levels.subarray(row * picture.width, (row + 1) * picture.width);
  const weights = exact ? requests.row(head, row) : null;
  return weights && Uint8Array.from(weights, level_of);
}

/**
 * Draws curves, the faint ones first.
 * @param {CanvasRenderingContext2D} context
 * @param {Iterable<Link>} links
 * @param {string} colour
 * @param {"across" | "down"} way which way they leave their ends
 */
export function stroke_links(context, links, colour, way) {
  const paths = Array.from({ length: BUCKETS }, () => /** @type {Path2D | null} */ (null));
  for (const { x0, y0, x1, y1, level } of links) {
    const bucket = bucket_of(level);
    if (bucket < 0) continue;
    const path = (paths[bucket] ??= new Path2D());
    path.moveTo(x0, y0);
    const [middle_x, middle_y] = [(x0 + x1) / 2, (y0 + y1) / 2];
    if (way === "across") path.bezierCurveTo(middle_x, y0, middle_x, y1, x1, y1);
    else path.bezierCurveTo(x0, middle_y, x1, middle_y, x1, y1);
  }
  context.save();
  context.strokeStyle = colour;
  paths.forEach((path, bucket) => {
    if (!path) return;
    const { alpha, width } = line_style(bucket);
    context.globalAlpha = alpha;
    context.lineWidth = width;
    context.stroke(path);
  });
  context.restore();
}
