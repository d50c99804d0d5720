// A small line of the last minute of one number.

const WIDTH = 240;
const HEIGHT = 44;
const LENGTH = 60;
const SVG = 'http://www.w3.org/2000/svg';

/** Draws into an `svg` element; `add` one value a second. */
export class Sparkline {
  #values = [];
  #area = document.createElementNS(SVG, 'path');
  #line = document.createElementNS(SVG, 'path');

  constructor(svg) {
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    this.#area.setAttribute('class', 'spark-area');
    this.#line.setAttribute('class', 'spark-line');
    svg.append(this.#area, this.#line);
  }

  /** Appends a value and redraws. Returns the highest value in view. */
  add(value) {
    this.#values.push(value);
    if (this.#values.length > LENGTH) this.#values.shift();
    const top = Math.max(...this.#values, 1);
    const step = WIDTH / (LENGTH - 1);
    const start = WIDTH - (this.#values.length - 1) * step;
    const points = this.#values.map((one, index) => {
      const x = (start + index * step).toFixed(1);
      return `${x} ${(HEIGHT - 2 - (one / top) * (HEIGHT - 6)).toFixed(1)}`;
    });
    this.#line.setAttribute('d', `M${points.join('L')}`);
    this.#area.setAttribute('d', `M${start.toFixed(1)} ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z`);
    return top;
  }
}
