// What a node says about a stream: what is wrong with it, and that it is muted.

import { set } from './ui.js';

/** A short name for each kind of warning; a kind that a newer node knows is spelled out. */
const TITLES = {
  no_media: 'Nothing arrives',
  unknown_packets: 'Packets of no track arrive',
  no_key_frame: 'No key frame',
  no_parameter_sets: 'H.264 without parameter sets',
  b_frames: 'B-frames',
  key_frame_interval: 'Key frames are far apart',
};

/** Shows what the status (or null) says in `list`; `muted` says that nothing comes, in words that fit the page. */
export function showNotes(list, status, muted) {
  const notes = (status?.warnings ?? []).map(({ kind, detail }) => ({
    kind,
    title: TITLES[kind] ?? String(kind).replaceAll('_', ' '),
    detail: detail ?? '',
  }));
  if (status?.muted) notes.push({ kind: 'muted', title: 'Muted', detail: muted });
  list.hidden = notes.length === 0;
  while (list.children.length > notes.length) list.lastChild.remove();
  while (list.children.length < notes.length) {
    const item = document.createElement('li');
    item.append(document.createElement('b'), document.createElement('span'));
    list.append(item);
  }
  notes.forEach(({ kind, title, detail }, index) => {
    const item = list.children[index];
    item.dataset.kind = kind;
    set(item.firstChild, title);
    set(item.lastChild, detail);
  });
}
