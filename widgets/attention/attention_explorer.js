import { render } from "./frame.js";

// The widget's door: the traits it shares with Python, and what anywidget calls.

/**
 * @typedef {{
 *   title: string,
 *   sources: import("./state.js").Source[],
 *   tokens: string[][],
 *   atlases: DataView[][],
 *   step_names: string[],
 *   selection: import("./state.js").Selection,
 *   can_predict: boolean,
 *   live: boolean,
 * }} Traits
 */

export default { render };
