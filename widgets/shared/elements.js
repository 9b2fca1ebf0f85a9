// Elements of the page, and the model that anywidget hands to a widget.

/**
 * The part of anywidget's model that we use; T lists the synced traits.
 * @template {object} T
 * @typedef {{
 *   get<K extends keyof T & string>(name: K): T[K],
 *   set<K extends keyof T & string>(name: K, value: T[K]): void,
 *   save_changes(): void,
 *   send(content: object): void,
 *   on(event: string, callback: (...args: any[]) => void): void,
 *   off(event: string, callback: (...args: any[]) => void): void,
 * }} Model
 */

/**
 * An element with properties and children; strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}
