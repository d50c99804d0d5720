// Whose voices are received, where that isn't everybody's: those of who spoke last.

export class Speakers {
  #most;
  /** Who sends sound, who spoke last first. */
  #names = [];

  /** `most` is of how many the voices are received. */
  constructor(most) {
    this.#most = most;
  }

  add(name) {
    if (!this.#names.includes(name)) this.#names.push(name);
  }

  remove(name) {
    this.#names = this.#names.filter((one) => one !== name);
  }

  /** These speak, the loudest first: the others are those who spoke before them. */
  speak(names) {
    const heard = names.filter((name) => this.#names.includes(name));
    this.#names = [...heard, ...this.#names.filter((name) => !heard.includes(name))];
  }

  has(name) {
    const place = this.#names.indexOf(name);
    return place >= 0 && place < this.#most;
  }
}
