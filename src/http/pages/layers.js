// The table of encoded layers on the publish page.

import * as format from './format.js';
import { limitation } from './quality.js';
import { set } from './ui.js';

const NAMES = { f: 'Full', h: 'Half', q: 'Quarter' };

/** Shows one row for each layer; rows are kept, so that only texts change. */
export function showLayers(body, layers) {
  while (body.rows.length > layers.length) body.deleteRow(-1);
  while (body.rows.length < layers.length) {
    const row = body.insertRow();
    const name = document.createElement('th');
    name.scope = 'row';
    row.append(name, ...Array.from({ length: 5 }, () => document.createElement('td')));
  }
  layers.forEach((layer, index) => {
    const on = layer.active && layer.fps > 0;
    const texts = [
      layer.rid ? NAMES[layer.rid] ?? layer.rid : 'Single',
      on ? format.size(layer.width, layer.height) : 'off',
      on ? format.whole(layer.fps) : '–',
      on ? format.bitrate(layer.bitrate) : '–',
      format.whole(layer.keyFrames),
      limitation(layer.limitation),
    ];
    texts.forEach((text, cell) => set(body.rows[index].cells[cell], text));
  });
}
