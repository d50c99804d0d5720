// Elements: made, found, and changed only where something differs. Text is never read as markup.

import { address } from './place.js';

const SVG = 'http://www.w3.org/2000/svg';
const KEPT = new WeakMap();
const SAID = Symbol('text');

/** The element with this id. */
export const el = (id) => document.getElementById(id);

/** A new element with attributes and children (elements or text). */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) attr(element, name, value);
  element.append(...children);
  return element;
}

/** Sets text where it differs. What was set is remembered, because asking the document is slow. */
export function set(element, text) {
  const string = String(text);
  if (element[SAID] === string) return;
  element[SAID] = string;
  element.textContent = string;
}

/** Sets an attribute where it differs; null removes it. */
export function attr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const string = value === true ? '' : String(value);
  if (element.getAttribute(name) !== string) element.setAttribute(name, string);
}

/** Sets a style property where it differs. */
export function style(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** Shows or hides. */
export const show = (element, visible) => attr(element, 'hidden', !visible);

/** Makes the children of `parent` those of `items`: elements are kept by key, moved only if needed. `removed` gets each that goes. */
export function keyed(parent, items, key, create, update, removed = () => {}) {
  const before = KEPT.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) after.set(key(item), item);
  const focused = document.activeElement;
  for (const [name, element] of before) {
    if (after.has(name)) continue;
    element.remove();
    removed(element);
  }
  let next = parent.firstChild;
  for (const [name, item] of after) {
    const element = before.get(name) ?? create(item);
    update(element, item);
    if (element === next) next = next.nextSibling;
    else parent.insertBefore(element, next);
    after.set(name, element);
  }
  KEPT.set(parent, after);
  // Moving an element takes the focus from it.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** A link within this page; the click is handled by `place`. */
export const link = (text, changes, attributes = {}) => {
  const a = make('a', attributes, text);
  lead(a, changes);
  return a;
};

/** Sets where a link leads: parameters of the address, null for those that go. */
export function lead(a, changes) {
  const said = JSON.stringify(changes);
  if (a.dataset.go === said) return;
  a.dataset.go = said;
  a.href = address(changes);
}
