// Points of many series as they arrive from Python: the whole once, then what is new.

/**
 * @typedef {{ steps: number[], values: number[] }} Points
 * @typedef {{ generation: number, count: number, series: Points[] }} Store
 * @typedef {Points & { run: string, group: string, name: string }} Series
 */

/** @returns {Store} */
export const empty_store = () => ({ generation: -1, count: 0, series: [] });

/**
 * Puts (number, step, value) triples that follow `from` others into `store`; false when they do not
 * belong there, and the whole must be awaited. `from` 0 is a whole and takes the place of
 * everything.
 * @param {Store} store
 * @param {number} from
 * @param {number} generation
 * @param {Float32Array} triples
 */
export function take_points(store, from, generation, triples) {
  if (from === 0) {
    if (generation < store.generation) return false;
    [store.series, store.count, store.generation] = [[], 0, generation];
  } else if (generation !== store.generation || from !== store.count) return false;
  for (let i = 0; i + 2 < triples.length; i += 3) {
    const number = triples[i];
    if (!(number >= 0 && number < 100_000 && Number.isInteger(number))) continue;
    while (store.series.length <= number) store.series.push({ steps: [], values: [] });
    store.series[number].steps.push(triples[i + 1]);
    store.series[number].values.push(triples[i + 2]);
  }
  store.count += Math.floor(triples.length / 3);
  return true;
}

/**
 * The series of these groups, in order, those without a name left out.
 * @param {Store} store
 * @param {string[][]} names [run, group, name] by number
 * @param {string[]} groups
 * @returns {Series[]}
 */
export function series_in(store, names, groups) {
  return store.series.flatMap((points, number) => {
    const [run, group, name] = names[number] ?? ["", "", ""];
    return groups.includes(group) ? [{ run, group, name, ...points }] : [];
  });
}
