// Where the nodes of a tree stand: from the origin at the left to the edges at the right, or, where
// it is narrow, indented below each other.

const WIDTHS = [176, 224];
const HEIGHT = 92;
const GAPS = [132, 176];
const NARROW = 620;
const ROW = 12;
const INDENT = 22;
const LINE = 18;
const ROWS = 24;

const leaf = (node) => node.children.length === 0;
const ill = (node) => node.condition !== 'serving' || !node.pipe?.open;

/** Large groups of edges are folded into one card, those in trouble and with most viewers before it. */
function folded(node, few, opened) {
  const leaves = node.children.filter(leaf);
  if (leaves.length <= few + 1 || opened.has(node.node)) return { node, children: node.children.map((child) => folded(child, few, opened)) };
  const ranked = [...leaves].sort((a, b) => ill(b) - ill(a) || b.viewers - a.viewers || a.node.localeCompare(b.node));
  const kept = new Set(ranked.slice(0, few));
  const hidden = ranked.slice(few);
  const children = node.children.filter((child) => !leaf(child) || kept.has(child)).map((child) => folded(child, few, opened));
  const sum = (name) => hidden.reduce((total, it) => total + it[name], 0);
  children.push({ fold: { under: node.node, count: hidden.length, viewers: sum('viewers'), bitrate: hidden.reduce((total, it) => total + (it.pipe?.bitrate ?? 0), 0), ill: hidden.filter(ill).length }, children: [] });
  return { node, children };
}

function parents(node) {
  return (node.children.some(leaf) ? 1 : 0) + node.children.reduce((sum, child) => sum + parents(child), 0);
}

/** The boxes `{node | fold, from, x, y, width, height}` of a tree, its lines' shapes and the size of all. */
export function layout(root, available, opened) {
  const few = Math.max(3, Math.floor(ROWS / Math.max(1, parents(root))));
  const tree = folded(root, few, opened);
  const deep = depth(tree);
  return available >= NARROW ? spread(tree, deep, available) : indent(tree, available);
}

function leaves(tree) {
  return tree.children.length ? tree.children.reduce((sum, child) => sum + leaves(child), 0) : 1;
}

function depth(tree) {
  return tree.children.length ? 1 + Math.max(...tree.children.map(depth)) : 0;
}

function spread(tree, deep, available) {
  const within = (number, [least, most]) => Math.floor(Math.min(most, Math.max(least, number)));
  const width = within((available - deep * GAPS[0]) / (deep + 1), WIDTHS);
  const gap = deep ? within((available - (deep + 1) * width) / deep, GAPS) : 0;
  // In a tree that must be scrolled the origin stands at the top, where it is seen.
  const tall = leaves(tree) > 8;
  const boxes = [];
  let below = 0;
  const put = (it, level, from) => {
    const box = { ...it, from, x: level * (width + gap), width, height: HEIGHT };
    boxes.push(box);
    const inner = it.children.map((child) => put(child, level + 1, box));
    if (inner.length) {
      box.y = tall ? inner[0].y : (inner[0].y + inner.at(-1).y) / 2;
    } else {
      box.y = below;
      below += HEIGHT + ROW;
    }
    return box;
  };
  put(tree, 0, null);
  for (const box of boxes) {
    if (!box.from) continue;
    const start = box.from.x + width;
    const [y0, y1] = [box.from.y + HEIGHT / 2, box.y + HEIGHT / 2];
    box.path = `M${start} ${y0}C${start + 34} ${y0} ${start + 6} ${y1} ${start + 46} ${y1}H${box.x - 8}`;
    box.head = `M${box.x - 9} ${y1 - 5}L${box.x - 1} ${y1}L${box.x - 9} ${y1 + 5}Z`;
    box.label = [start + 42 + (gap - 50) / 2, y1];
  }
  return { wide: true, boxes, width: deep * (width + gap) + width, height: Math.max(0, below - ROW) };
}

function indent(tree, available) {
  const boxes = [];
  let below = 0;
  const put = (it, level, from) => {
    // Very deep trees stop indenting, so that the cards stay readable.
    const x = Math.min(level, 5) * INDENT;
    const width = Math.min(available - x, 460);
    const height = HEIGHT + (it.node?.pipe ? LINE * (width < 400 ? 2 : 1) : 0);
    const box = { ...it, from, x, y: below, width, height };
    below += height + ROW;
    boxes.push(box);
    for (const child of it.children) put(child, level + 1, box);
  };
  put(tree, 0, null);
  for (const box of boxes) {
    if (!box.from) continue;
    const x = box.from.x + 9;
    const y = box.y + 26;
    box.path = `M${x} ${box.from.y + box.from.height}V${y - 8}Q${x} ${y} ${Math.min(x + 8, box.x)} ${y}H${box.x - 6}`;
    box.head = `M${box.x - 7} ${y - 4}L${box.x - 1} ${y}L${box.x - 7} ${y + 4}Z`;
  }
  return { wide: false, boxes, width: available, height: Math.max(0, below - ROW) };
}
