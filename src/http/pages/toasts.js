// Short notices, which are read aloud as well.

const STAY_MS = 5_000;
const MOST = 3;

/** Says what happens, in `list`. */
export class Toasts {
  #list;

  constructor(list) {
    this.#list = list;
  }

  say(text) {
    const line = document.createElement('p');
    line.textContent = text;
    this.#list.append(line);
    while (this.#list.children.length > MOST) this.#list.firstChild.remove();
    setTimeout(() => line.remove(), STAY_MS);
  }
}
