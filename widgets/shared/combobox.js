import { element } from "./elements.js";

// A text field that offers what could stand in it.

/** @typedef {[string, string, string]} Offer the value, what it is called, a note */

const MOST_SHOWN = 200;

/**
 * The offers that fit what was typed: those that begin with it before those that hold it.
 * @param {Offer[]} offers @param {string} typed
 * @returns {Offer[]}
 */
export function matching(offers, typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return offers;
  const place = (/** @type {Offer} */ [value, name]) => {
    const [a, b] = [value.toLowerCase(), name.toLowerCase()];
    if (a === wanted || b === wanted) return 0;
    if (b.startsWith(wanted) || a.startsWith(wanted)) return 1;
    return a.includes(wanted) || b.includes(wanted) ? 2 : 3;
  };
  return offers.filter((offer) => place(offer) < 3).sort((one, other) => place(one) - place(other));
}

/** What a field with this value says. @param {Offer[]} offers @param {string} value */
export const called = (offers, value) => offers.find((offer) => offer[0] === value)?.[1] ?? value;

/**
 * The value of what was typed, which may be the name of an offer.
 * @param {Offer[]} offers
 * @param {string} typed
 */
export function value_of(offers, typed) {
  const wanted = typed.trim();
  const same = (/** @type {string} */ text) => text.toLowerCase() === wanted.toLowerCase();
  return (
    (offers.find(([value]) => same(value)) ?? offers.find(([, name]) => same(name)))?.[0] ?? wanted
  );
}

/**
 * A text field that offers what could stand in it, and takes anything else as well.
 * @param {{
 *   label: string, title?: string, placeholder?: string, changed: () => void, opened?: () => void,
 * }} options
 */
export function combobox({ label, title = "", placeholder = "", changed, opened }) {
  const id = `llm-${Math.random().toString(36).slice(2, 10)}`;
  const input = element("input", {
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    placeholder,
    title,
    "aria-label": label,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
  });
  const list = element("ul", {
    id: `${id}-list`,
    role: "listbox",
    class: "llm-offers",
    "aria-label": label,
    popover: "manual",
    hidden: true,
  });
  const root = element("span", { class: "llm-combobox" }, input, list);
  list.onpointerdown = (event) => event.preventDefault(); // the field keeps the focus
  /** @type {Offer[]} */
  let offers = [];
  /** @type {Offer[]} */
  let shown = [];
  let [chosen, active, typed] = ["", -1, false];

  const is_open = () => !list.hidden;
  function fill() {
    shown = (typed ? matching(offers, input.value) : offers).slice(0, MOST_SHOWN);
    list.replaceChildren(
      ...shown.map(([value, name, note], i) => {
        const item = element(
          "li",
          { role: "option", id: `${id}-${i}`, "aria-selected": String(value === chosen) },
          element("bdi", {}, name),
          element("small", {}, note),
        );
        item.onclick = (event) => {
          event.preventDefault(); // a label around it would click the field
          take(value);
        };
        return item;
      }),
    );
    if (!shown.length)
      list.append(
        element(
          "li",
          { class: "llm-none" },
          offers.length ? "taken as it is typed" : "nothing to offer",
        ),
      );
  }
  function place() {
    const { left, bottom, top, width } = input.getBoundingClientRect();
    const below = window.innerHeight - bottom;
    const upward = below < 160 && top > below;
    list.style.left = `${left}px`;
    list.style.minWidth = `${width}px`;
    list.style.maxHeight = `${Math.min(280, (upward ? top : below) - 12)}px`;
    list.style.top = upward ? "auto" : `${bottom + 2}px`;
    list.style.bottom = upward ? `${window.innerHeight - top + 2}px` : "auto";
  }
  function open() {
    if (is_open()) return;
    opened?.();
    list.hidden = false;
    // above all, whatever cuts an output off
    if (typeof list.showPopover === "function" && list.isConnected) list.showPopover();
    input.setAttribute("aria-expanded", "true");
    fill();
    place();
    point(typed ? -1 : shown.findIndex(([value]) => value === chosen));
    document.addEventListener("scroll", scrolled, true);
  }
  function close() {
    if (!is_open()) return;
    document.removeEventListener("scroll", scrolled, true);
    if (typeof list.hidePopover === "function" && list.matches(":popover-open")) list.hidePopover();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function scrolled(/** @type {Event} */ event) {
    if (event.target !== list) close();
  }
  function point(/** @type {number} */ to) {
    list.children[active]?.classList.remove("llm-active");
    active = to;
    const item = list.children[to];
    if (!shown[to] || !item) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    item.classList.add("llm-active");
    item.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", item.id);
  }
  function take(/** @type {string} */ value) {
    const before = chosen;
    [chosen, typed] = [value, false];
    input.value = called(offers, value);
    close();
    if (before !== value) changed();
  }
  input.onfocus = () => input.select();
  input.onclick = open;
  input.oninput = () => {
    typed = true;
    open();
    fill();
    point(input.value && shown.length ? 0 : -1);
    const value = value_of(offers, input.value);
    if (value !== chosen) {
      chosen = value;
      changed();
    }
  };
  input.onblur = () => take(typed ? value_of(offers, input.value) : chosen);
  input.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (is_open()) point((active + step + shown.length) % Math.max(1, shown.length));
      else open();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      take(is_open() && shown[active] ? shown[active][0] : value_of(offers, input.value));
    } else if (event.key === "Escape" && is_open()) {
      event.stopPropagation();
      close();
    }
  };
  return {
    root,
    input,
    value: () => chosen,
    set_value(/** @type {string} */ value) {
      if (document.activeElement === input && typed) return;
      chosen = value;
      input.value = called(offers, value);
    },
    set_offers(/** @type {Offer[]} */ all) {
      offers = all;
      if (is_open()) {
        const kept = shown[active]?.[0];
        fill();
        point(shown.findIndex(([value]) => value === kept));
      }
      if (!typed) input.value = called(offers, chosen);
    },
    close,
  };
}
