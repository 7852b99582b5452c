// Which rows of a long list are in view. Cells have one size, so a position is a division, and rows
// outside the window do not exist. A scroll box is at most MAX_HEIGHT px high: beyond, it is scaled.

export const MAX_HEIGHT = 8_000_000;

/** @typedef {{start: number, stop: number, top: number, height: number}} Window
 * rows [start, stop), the offset of row `start` in px, the height of the scroll box in px */

/** @param {{scrollTop: number, viewHeight: number, rowHeight: number, rows: number, overscan?: number}} view
 * @returns {Window} */
export function windowOf({ scrollTop, viewHeight, rowHeight, rows, overscan = 3 }) {
  const full = rows * rowHeight;
  const height = Math.min(full, MAX_HEIGHT);
  const range = Math.max(1, height - viewHeight);
  // the first visible pixel of the whole list; equal to scrollTop unless the box is scaled
  const pixel = full > MAX_HEIGHT ? (scrollTop / range) * (full - viewHeight) : scrollTop;
  const first = Math.floor(pixel / rowHeight);
  const start = Math.max(0, first - overscan);
  const stop = Math.min(rows, first + Math.ceil(viewHeight / rowHeight) + 1 + overscan);
  return { start, stop, top: start * rowHeight - pixel + scrollTop, height };
}

/** Return the scroll place that shows a row at the top.
 * @param {number} row @param {{viewHeight: number, rowHeight: number, rows: number}} view */
export function scrollTo(row, { viewHeight, rowHeight, rows }) {
  const full = rows * rowHeight;
  if (full <= MAX_HEIGHT) return row * rowHeight;
  return (row * rowHeight * (MAX_HEIGHT - viewHeight)) / (full - viewHeight);
}
