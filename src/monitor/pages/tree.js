// The tree of one stream: cards, and the lines by which it comes to them.

import { age } from './ages.js';
import { attr, draw, keyed, make, set, show, style } from './dom.js';
import { bitrate, count } from './format.js';
import { layout } from './layout.js';
import * as stop from './treenode.js';

/** A picture that goes on showing one stream; `element` holds it. */
export class Tree {
  element = make('div', { class: 'tree' });
  #lines = draw('svg', { 'aria-hidden': 'true' });
  #cards = make('ul', { class: 'stops' });
  #waiting = make('section', { class: 'waiting' }, make('h4', {}, 'Waiting'), make('p', { class: 'quiet' }, 'These nodes have viewers or news of the stream, but it does not come to them now.'), make('ul', { class: 'stops' }));
  #room = make('div', { class: 'forest' }, this.#lines, this.#cards);
  #opened = new Set();
  #stream = null;
  #width = 0;
  #observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === this.#width) return;
    this.#width = width;
    if (this.#stream) this.show(this.#stream);
  });

  constructor() {
    this.element.append(this.#room, this.#waiting);
    this.#observer.observe(this.element);
  }

  /** The picture is gone: what is still observed would never be freed. */
  close() {
    this.#observer.disconnect();
  }

  /** Shows a stream (`StreamTree`). */
  show(stream) {
    this.#stream = stream;
    show(this.#room, Boolean(stream.tree));
    if (stream.tree && this.#width) this.#draw(stream.tree);
    show(this.#waiting, stream.apart.length > 0);
    const apart = stream.apart.flatMap(flat);
    keyed(this.#waiting.lastChild, apart, (it) => it.node.node, stop.create, (item, it) => stop.update(item, it.node, it.from));
  }

  #draw(root) {
    const plan = layout(root, this.#width, this.#opened);
    attr(this.#room, 'data-wide', plan.wide);
    style(this.#room, 'height', `${plan.height}px`);
    style(this.#room, 'width', `${plan.width}px`);
    attr(this.#lines, 'viewBox', `0 0 ${plan.width} ${plan.height}`);
    attr(this.#lines, 'width', plan.width);
    attr(this.#lines, 'height', plan.height);
    const name = (box) => (box.fold ? `${box.fold.under} and more` : box.node.node);
    keyed(this.#cards, plan.boxes, name, (box) => (box.fold ? this.#fold(box.fold.under) : stop.create()), (item, box) => {
      style(item, 'transform', `translate(${box.x}px, ${box.y}px)`);
      style(item, 'width', `${box.width}px`);
      style(item, 'height', `${box.height}px`);
      if (box.fold) unfold(item, box.fold);
      else stop.update(item, box.node, box.from?.node.node);
    });
    const lines = plan.boxes.filter((box) => box.from);
    keyed(this.#lines, lines, (box) => `${box.from.node.node}->${name(box)}`, strand, (group, box) => trace(group, box, plan.wide));
  }

  #fold(under) {
    const button = make('button', { type: 'button' });
    button.addEventListener('click', () => {
      this.#opened.add(under);
      this.show(this.#stream);
    });
    return make('li', { class: 'stop more' }, button);
  }
}

function unfold(item, fold) {
  set(item.firstChild, `${count(fold.count, 'more edge')}, ${count(fold.viewers, 'viewer')}${fold.ill ? `, ${fold.ill} not well` : ''}: show all`);
}

function strand() {
  return draw('g', { class: 'strand' }, draw('path', { class: 'bed' }), draw('path', { class: 'flow' }), draw('path', { class: 'head' }),
    draw('text', { class: 'strong', dy: -7 }), draw('text', { dy: 14 }), draw('text', { dy: 27 }));
}

function trace(group, box, wide) {
  const [bed, flow, head, first, second, third] = group.children;
  attr(bed, 'd', box.path);
  attr(flow, 'd', box.path);
  attr(head, 'd', box.head);
  const pipe = box.node?.pipe;
  attr(group, 'data-line', box.fold ? null : `${box.from.node.node}->${box.node.node}`);
  attr(group, 'data-state', box.fold ? 'open' : stop.state(box.node));
  attr(group, 'data-crosses', Boolean(box.node && box.node.region !== box.from.node.region));
  const told = !wide ? [] : pipe ? stop.line(box.node) : box.fold ? [bitrate(box.fold.bitrate)] : [];
  for (const text of [first, second, third]) {
    attr(text, 'x', box.label?.[0] ?? 0);
    attr(text, 'y', box.label?.[1] ?? 0);
  }
  set(first, told[0] ?? '');
  set(second, told[1] ?? '');
  age(third, wide ? pipe?.since : null, 'up');
}

function flat(node, _index, _all, from = null) {
  return [{ node, from }, ...node.children.flatMap((child) => flat(child, 0, null, node.node))];
}
