// Ages that go on by themselves, so that nothing else need be drawn again for them.

import { now } from './api.js';
import { span } from './format.js';

const FORMS = { for: (text) => text, up: (text) => `for ${text}`, ago: (text) => `${text} ago` };
let until = null;

/** Shows the time since `since` in an element, in one of the forms. */
export function age(element, since, form = 'for') {
  if (since) {
    element.dataset.since = since;
    element.dataset.form = form;
    tell(element);
  } else {
    delete element.dataset.since;
    if (element.textContent) element.textContent = '';
  }
}

/** The time to which ages count: that of the moment shown, else now. */
export const present = () => until ?? now();

/** Stops the ages at a time in milliseconds; null lets them go on. */
export function freeze(time) {
  until = time;
  all();
}

function tell(element) {
  const text = FORMS[element.dataset.form](span(present() - Date.parse(element.dataset.since)));
  if (element.textContent !== text) element.textContent = text;
}

function all() {
  for (const element of document.querySelectorAll('[data-since]')) tell(element);
}

setInterval(() => {
  if (until === null && !document.hidden) all();
}, 1000);
