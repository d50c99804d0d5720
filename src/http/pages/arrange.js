// Where the tiles of a conference stand.

const RATIO = 16 / 9;
const GAP = 8;
const SMALLEST = 156;
/** The share of the longer side that the strip beside a large tile gets, and its bounds in px. */
const STRIP = { share: 0.2, least: 104, most: 240 };

/** The best grid for `count` tiles: as large as they fit, and below the edge where they would be too small. */
function grid(count, width, height) {
  let best = null;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const wide = (width - GAP * (columns - 1)) / columns;
    const high = (height - GAP * (rows - 1)) / rows;
    // A tile may be cut to a squarer or a flatter one, within reason.
    const w = Math.min(wide, high * RATIO * 1.25);
    const h = Math.min(high, w / RATIO * 1.35, w);
    const size = Math.min(w * h, (w * w) / RATIO * 1.2);
    if (!best || size > best.size) best = { columns, rows, w, h, size };
  }
  if (best.w >= Math.min(SMALLEST, width) && best.h >= SMALLEST / RATIO) return best;
  const columns = Math.max(1, Math.floor((width + GAP) / (SMALLEST + GAP)));
  const w = (width - GAP * (columns - 1)) / columns;
  return { columns, rows: Math.ceil(count / columns), w, h: w / RATIO };
}

function placed(count, { columns, rows, w, h }, { left, top, width, height }) {
  const used = rows * h + GAP * (rows - 1);
  const down = top + Math.max(0, (height - used) / 2);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - columns * (rows - 1) : columns;
    const across = left + (width - inRow * w - GAP * (inRow - 1)) / 2;
    return { left: across + (index % columns) * (w + GAP), top: down + row * (h + GAP), width: w, height: h };
  });
}

/** A line of tiles along one side, which goes on beyond the edge. */
function strip(count, { left, top, width, height }, upright) {
  const w = upright ? width : Math.min(height * RATIO, width);
  const h = upright ? width / RATIO : height;
  const used = count * (upright ? h : w) + GAP * (count - 1);
  const start = Math.max(0, ((upright ? height : width) - used) / 2);
  return Array.from({ length: count }, (_, index) => ({
    left: upright ? left : left + start + index * (w + GAP),
    top: upright ? top + start + index * (h + GAP) : top,
    width: w,
    height: h,
  }));
}

/**
 * Rectangles for `count` tiles in an area of `width` and `height` px. With `large` the first of them gets most of it, and
 * the others a strip beside or below.
 */
export function arrange(count, width, height, large) {
  if (count === 0) return [];
  const all = { left: 0, top: 0, width, height };
  if (!large || count === 1) return placed(count, grid(count, width, height), all);
  const beside = width > height * 1.2;
  const side = Math.min(STRIP.most, Math.max(STRIP.least, (beside ? width : height) * STRIP.share));
  const rest = beside
    ? { left: width - side, top: 0, width: side, height }
    : { left: 0, top: height - side, width, height: side };
  const first = beside
    ? { left: 0, top: 0, width: width - side - GAP, height }
    : { left: 0, top: 0, width, height: height - side - GAP };
  return [first, ...strip(count - 1, rest, beside)];
}
