import { render } from "./attention_frame.js";

// The widget's door: the traits it shares with Python, and what anywidget calls.

/**
 * @typedef {{
 *   title: string,
 *   sources: import("./attention_state.js").Source[],
 *   tokens: string[][],
 *   atlases: DataView[][],
 *   step_names: string[],
 *   selection: import("./attention_state.js").Selection,
 *   can_predict: boolean,
 *   live: boolean,
 * }} Traits
 */

export default { render };
