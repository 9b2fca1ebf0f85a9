// What `display/html.py` has built, made again as elements: nodes travel as [tag, attributes,
// children], never as markup.

/**
 * @typedef {[string, Record<string, string>, (Tree | string)[]]} Tree a tag of "" is a run of
 *   children without an element
 */

const NEVER = /^(?:script|iframe|object|embed|form|meta|base|link)$/i;

/**
 * Whether an element and its attributes may be made; the Python half makes no others.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
export function harmless(tag, attributes) {
  return (
    !NEVER.test(tag) &&
    !Object.keys(attributes).some((name) => /^on|^srcdoc$|^data-commandlinker/i.test(name))
  );
}

/**
 * The elements of a tree.
 * @param {Tree} tree
 * @returns {Node}
 */
export function built([tag, attributes, children]) {
  if (!harmless(tag, attributes)) return document.createTextNode("");
  const made = tag ? document.createElement(tag) : document.createDocumentFragment();
  if (made instanceof Element)
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.map((child) => (typeof child === "string" ? child : built(child))));
  return made;
}
