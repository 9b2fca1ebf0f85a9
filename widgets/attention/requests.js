import { bytes_of, floats_of } from "../shared/numbers.js";
import { key_of } from "./state.js";

// What the explorer has been sent, and the questions it asks Python: each once, answers kept while
// there is room.

/**
 * @typedef {import("./state.js").Head} Head
 * @typedef {{
 *   levels: Uint8Array, height: number, width: number, level: number,
 * }} Picture a map pooled by 2 ** level
 * @typedef {{
 *   query: number[], key: number[], product: number[], dot: number, score: number, weight: number,
 * }} Neuron
 * @typedef {{
 *   key: string, read: (message: any, buffers: DataView[]) => [any, number],
 * }} Waiting what was asked for, and how its answer is read: a value and its size
 * @typedef {{ kind: string, title?: string, entries: [string, number][] }} Prediction
 * @typedef {{ before: Prediction, after: Prediction, silenced: [string, number, number][] }} Change
 * @typedef {{ levels: Uint8Array, whole: boolean, version: number }} Atlas
 */

/**
 * Values under keys, the least recently used dropped beyond `most` bytes.
 * @template V
 * @param {number} most
 */
export function kept_values(most) {
  /** @type {Map<string, { value: V, size: number }>} */
  const held = new Map();
  let total = 0;
  return {
    /** @param {string} key @returns {V | undefined} */
    get(key) {
      const found = held.get(key);
      if (!found) return undefined;
      held.delete(key); // to the end: used last
      held.set(key, found);
      return found.value;
    },
    /** @param {string} key @param {V} value @param {number} size */
    set(key, value, size) {
      total += size - (held.get(key)?.size ?? 0);
      held.delete(key);
      held.set(key, { value, size });
      for (const [oldest, { size: gone }] of held) {
        if (total <= most || held.size === 1) break;
        held.delete(oldest);
        total -= gone;
      }
    },
  };
}

/**
 * Which power of two `length` tokens were pooled by to become `pooled`.
 * @param {number} length
 * @param {number} pooled
 */
export const pooling_of = (length, pooled) =>
  Math.max(0, Math.ceil(Math.log2(length / Math.max(1, pooled)) - 1e-9));

/**
 * What was compressed.
 * @param {Uint8Array} bytes
 * @param {"deflate" | "gzip"} format
 * @returns {Promise<Uint8Array>}
 */
export async function inflated(bytes, format) {
  const stream = new Blob([/** @type {any} */ (bytes)])
    .stream()
    .pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const KEPT_BYTES = 96 * 1024 * 1024;

/**
 * @param {{ send(content: object): void }} model
 * @param {(source: number, kind: string) => { rows: number, columns: number }} size of a map in
 *   tokens
 * @param {() => void} changed called after each answer
 */
export function requests_of(model, size, changed) {
  const kept = /** @type {ReturnType<typeof kept_values<any>>} */ (kept_values(KEPT_BYTES));
  /** @type {Map<string | number, Waiting>} */
  const waiting = new Map();
  /** @type {Map<string, string>} */
  const failed = new Map(); // not asked again until something else is selected
  /** @type {Map<string, Atlas>} */
  const atlases = new Map();
  // Every view of a widget hears every answer: the ids of two views must differ.
  const own = Math.random().toString(36).slice(2, 8);
  let count = 0;

  function ask(
    /** @type {string} */ key,
    /** @type {object} */ content,
    /** @type {(message: any, buffers: DataView[]) => [any, number]} */ read,
  ) {
    const found = kept.get(key);
    if (found !== undefined) return found;
    if (failed.has(key) || [...waiting.values()].some((one) => one.key === key)) return null;
    const id = `${own}-${(count += 1)}`;
    waiting.set(id, { key, read });
    model.send({ id, ...content });
    return null;
  }
  const bytes = (/** @type {any} */ _, /** @type {DataView[]} */ [buffer]) =>
    /** @type {[Uint8Array, number]} */ ([bytes_of(buffer), buffer.byteLength]);

  const requests = {
    /**
     * The first 512 × 512 or fewer pixels of a head.
     * @param {Head} head
     * @returns {Picture | null}
     */
    picture: (head) =>
      ask(
        `picture/${key_of(head)}`,
        { want: "picture", ...head },
        ({ height, width }, [buffer]) => {
          const { rows, columns } = size(head.source, head.kind);
          const level = Math.max(pooling_of(rows, height), pooling_of(columns, width));
          return [{ levels: bytes_of(buffer), height, width, level }, buffer.byteLength];
        },
      ),
    /**
     * @param {Head} head
     * @param {number} level
     * @param {number} row
     * @param {number} column
     * @returns {Uint8Array | null}
     */
    tile: (head, level, row, column) =>
      ask(
        `tile/${key_of(head)}/${level}/${row}/${column}`,
        { want: "tile", ...head, level, row, column },
        bytes,
      ),
    /**
     * The exact weights of one row.
     * @param {Head} head
     * @param {number} row
     * @returns {Float32Array | null}
     */
    row: (head, row) =>
      ask(`row/${key_of(head)}/${row}`, { want: "row", ...head, row }, (_, [buffer]) => [
        floats_of(buffer),
        buffer.byteLength,
      ]),
    /** @param {Head} head @param {number} row @param {number} column @returns {Neuron | null} */
    neuron: (head, row, column) =>
      ask(
        `neuron/${key_of(head)}/${row}/${column}`,
        { want: "neuron", ...head, row, column },
        ({ neuron }) => [neuron, 4096],
      ),
    /**
     * One value a head.
     * @param {number} source
     * @param {string} kind
     * @param {string} name
     * @returns {Float32Array | null}
     */
    measure: (source, kind, name) =>
      ask(
        `measure/${source}/${kind}/${name}`,
        { want: "measure", source, kind, name },
        (_, [buffer]) => [floats_of(buffer), buffer.byteLength],
      ),
    /** @param {[string, number, number][]} silenced @returns {Change | null} */
    predict: (silenced) =>
      ask(
        `predict/${JSON.stringify(silenced)}`,
        { want: "predict", silenced },
        ({ before, after }) => [{ before, after, silenced }, 4096],
      ),
    /**
     * The thumbnails of a panel, as many as have come.
     * @param {number} source
     * @param {string} kind
     * @returns {Atlas | null}
     */
    atlas(source, kind) {
      const key = `${source}/${kind}`;
      return (
        atlases.get(key) ??
        ask(`atlas/${key}`, { want: "atlas", source, kind }, ({ whole, length }, [buffer]) => {
          const levels = new Uint8Array(length ?? buffer.byteLength);
          levels.set(bytes_of(buffer)); // empty as long as no thumbnail has been made
          atlases.set(key, { levels, whole, version: 1 });
          return [undefined, 0];
        })
      );
    },
    /** @param {number} source @param {string} kind @param {Uint8Array} levels */
    give_atlas: (source, kind, levels) =>
      void atlases.set(`${source}/${kind}`, { levels, whole: true, version: 1 }),
    /** What Python could not answer, as long as nothing else is selected. */
    failure: () => [...failed.values()].at(-1) ?? "",
    forget_failures: () => failed.clear(),
    is_waiting: () => waiting.size > 0,
    /**
     * Takes in what Python sent; what nobody here asked for is dropped.
     * @param {any} message
     * @param {DataView[]} buffers
     */
    receive(message, buffers) {
      if (message?.want === "thumbnails") {
        if (message.error) failed.set("thumbnails", message.error);
        const atlas = atlases.get(`${message.source}/${message.kind}`);
        if (!atlas || message.start === undefined) return changed();
        atlas.levels.set(bytes_of(buffers[0]), message.start);
        atlas.whole = message.whole;
        atlas.version += 1;
        return changed();
      }
      const asked = waiting.get(message?.id);
      if (!asked) return;
      if (message.deflated) {
        const plain = { ...message, deflated: false };
        inflated(bytes_of(buffers[0]), "deflate").then(
          (bytes) => requests.receive(plain, [new DataView(bytes.buffer)]),
          () => requests.receive({ ...plain, error: "a picture came damaged from the kernel" }, []),
        );
        return;
      }
      waiting.delete(message.id);
      if (typeof message.error === "string") failed.set(asked.key, message.error);
      else {
        const [value, bytes] = asked.read(message, buffers ?? []);
        if (value !== undefined) kept.set(asked.key, value, bytes);
      }
      changed();
    },
  };
  return requests;
}

/** @typedef {ReturnType<typeof requests_of>} Requests */
