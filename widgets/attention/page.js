import { element } from "../shared/elements.js";
import { render } from "./frame.js";
import { inflated } from "./requests.js";

// A saved explorer: the same browser modules over a stand-in for the model, which answers from what
// the page holds.

/**
 * @typedef {{
 *   level: number, height: number, width: number, start: number, bytes: number,
 * }} Held a head's map pooled by 2 ** level, and where its bytes lie
 * @typedef {{
 *   state: Record<string, any>, note: string,
 *   heads: Record<string, Held>,
 *   atlases: { source: number, kind: string, start: number, bytes: number }[],
 *   measures: { source: number, kind: string, name: string, values: number[] }[], packed: string,
 * }} Saved packed: gzip and base64 of all maps, one after another
 */

/** @param {string} packed gzip and base64 @returns {Promise<Uint8Array>} */
export async function unpacked(packed) {
  return inflated(
    Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)),
    "gzip",
  );
}

/**
 * What a question gets from the page.
 * @param {Saved} saved @param {Uint8Array} bytes @param {any} question
 * @returns {[Record<string, any>, DataView[]]}
 */
export function answer_of(saved, bytes, { want, source, kind, layer, head, name }) {
  const view = (/** @type {{ start: number, bytes: number }} */ { start, bytes: size }) =>
    new DataView(bytes.buffer, bytes.byteOffset + start, size);
  if (want === "picture") {
    const held = saved.heads[`${source}/${kind}/${layer}/${head}`];
    return held
      ? [{ height: held.height, width: held.width }, [view(held)]]
      : [{ error: "this head is not in the file" }, []];
  }
  if (want === "atlas") {
    const held = saved.atlases.find((one) => one.source === source && one.kind === kind);
    if (held) return [{ whole: true }, [view(held)]];
  }
  if (want === "measure") {
    const held = saved.measures.find(
      (one) => one.source === source && one.kind === kind && one.name === name,
    );
    if (held) return [{}, [new DataView(Float32Array.from(held.values).buffer)]];
  }
  if (want === "tile")
    return [{ error: "This file holds this head in the resolution that is shown, no finer." }, []];
  return [{ error: "This is not in the file: it needs the model, in a notebook." }, []];
}

/** A stand-in for anywidget's model. @param {Saved} saved @param {Uint8Array} bytes */
export function model_of(saved, bytes) {
  /** @type {Record<string, Set<(...args: any[]) => void>>} */
  const listeners = {};
  const tell = (/** @type {string} */ event, /** @type {any[]} */ ...args) =>
    listeners[event]?.forEach((callback) => callback(...args));
  return {
    get: (/** @type {string} */ name) => saved.state[name],
    set(/** @type {string} */ name, /** @type {any} */ value) {
      saved.state[name] = value;
      tell(`change:${name}`);
    },
    save_changes() {},
    send(/** @type {any} */ question) {
      const [content, buffers] = answer_of(saved, bytes, question);
      window.setTimeout(() =>
        tell("msg:custom", { id: question.id, want: question.want, ...content }, buffers),
      );
    },
    on: (/** @type {string} */ event, /** @type {(...args: any[]) => void} */ callback) =>
      void (listeners[event] ??= new Set()).add(callback),
    off: (/** @type {string} */ event, /** @type {(...args: any[]) => void} */ callback) =>
      void listeners[event]?.delete(callback),
  };
}

async function open_page() {
  const saved = /** @type {Saved} */ (
    JSON.parse(document.getElementById("llm-data")?.textContent ?? "{}")
  );
  const bytes = await unpacked(saved.packed);
  const root = element("main");
  document.body.classList.add("llm-attention-explorer-page");
  document.body.append(root, element("p", {}, saved.note));
  render({ model: /** @type {any} */ (model_of(saved, bytes)), el: root });
}

if (typeof document !== "undefined" && document.getElementById("llm-data")) open_page();
