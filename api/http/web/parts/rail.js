// The time rail: how much was made each day, newest above; a click goes there.
import { count, counted, day, month } from "../core/format.js";
import { h, html, useMemo, useRef, useState } from "../core/html.js";

/** @typedef {{date: string, count: number, at: number}} Day `at`: rows before it, newest first */

const MS = 86_400_000;

/** @param {UsageRow[]} rows by day, oldest first @returns {Day[]} newest first */
export function daysOf(rows) {
  let at = 0;
  return [...rows]
    .reverse()
    .filter((row) => row.key)
    .map((row) => {
      const made = { date: String(row.key), count: row.count, at };
      at += row.count;
      return made;
    });
}

/** @typedef {{date: string, count: number, at: number}} Bucket */

/** Days without a gap, joined where there are more than 260.
 * @param {Day[]} days newest first @returns {Bucket[]} */
function bucketsOf(days) {
  const [newest, oldest] = [Date.parse(days[0].date), Date.parse(days[days.length - 1].date)];
  const span = Math.round((newest - oldest) / MS) + 1;
  const width = Math.ceil(span / 150);
  const made = [];
  let k = 0;
  for (let d = 0; d < span; d += width) {
    const bucket = { date: new Date(newest - d * MS).toISOString().slice(0, 10), count: 0, at: days[k]?.at ?? 0 };
    for (; k < days.length && (newest - Date.parse(days[k].date)) / MS < d + width; k += 1) bucket.count += days[k].count;
    made.push(bucket);
  }
  return made;
}

/** @param {{days: Day[], at: number, total: number, oldestFirst: boolean, go: (index: number) => void}} properties
 * at: index of the first row in view; go: shows a row */
export function TimeRail({ days, at, total, oldestFirst, go }) {
  const buckets = useMemo(() => bucketsOf(days), [days]);
  const most = Math.max(...buckets.map((bucket) => bucket.count));
  const here = useMemo(() => {
    const index = oldestFirst ? total - 1 - at : at;
    return Math.max(
      0,
      buckets.findLastIndex((bucket) => bucket.at <= index && bucket.count > 0),
    );
  }, [buckets, at, total, oldestFirst]);
  const box = useRef(null);
  const [hover, setHover] = useState(/** @type {number | null} */ (null));
  const visit = (/** @type {number} */ k) => {
    const bucket = buckets[Math.min(buckets.length - 1, Math.max(0, k))];
    go(oldestFirst ? Math.max(0, total - bucket.at - bucket.count) : bucket.at);
  };
  const bucketAt = (/** @type {PointerEvent} */ event) => {
    const area = box.current.getBoundingClientRect();
    return Math.min(buckets.length - 1, Math.max(0, Math.floor(((event.clientY - area.top) / area.height) * buckets.length)));
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    const filled = (/** @type {number} */ step) => {
      let k = here + step;
      while (buckets[k] && !buckets[k].count) k += step;
      return buckets[k] ? k : here;
    };
    const to = { ArrowDown: () => filled(1), ArrowUp: () => filled(-1), Home: () => 0, End: () => buckets.length - 1 }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    visit(to());
  };
  const shown = buckets[hover ?? here];
  return html`<div ref=${box} class="rail" role="slider" tabindex="0" aria-orientation="vertical" aria-label="Time" aria-valuemin="0" aria-valuemax=${buckets.length - 1}
    aria-valuenow=${here} aria-valuetext=${`${day(buckets[here].date)}, ${counted(buckets[here].count, "asset")}`} onKeyDown=${press}
    onPointerDown=${(event) =>
      (
        /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId), visit(bucketAt(event))
      )}
    onPointerMove=${(event) => (setHover(bucketAt(event)), event.buttons && visit(bucketAt(event)))} onPointerLeave=${() => setHover(null)}>
    ${h(Ticks, { buckets, most })}
    <div class="now" style=${{ top: `${((here + 0.5) / buckets.length) * 100}%` }}></div>
    ${hover !== null && html`<div class="tip" style=${{ top: `${((hover + 0.5) / buckets.length) * 100}%` }}>${day(shown.date)}<span class="num">${count(shown.count)}</span></div>`}</div>`;
}

/** @param {{buckets: Bucket[], most: number}} properties */
function Ticks({ buckets, most }) {
  return useMemo(() => {
    let last = "";
    let lastAt = -1;
    return buckets.map((bucket, k) => {
      const name = month(bucket.date);
      const top = `${((k + 0.5) / buckets.length) * 100}%`;
      const named = name !== last && (lastAt < 0 || (k - lastAt) / buckets.length > 0.05);
      if (named) lastAt = k;
      last = name;
      const width = bucket.count ? 4 + 18 * Math.sqrt(bucket.count / most) : 2;
      return html`<i key=${k} style=${{ top, width: `${width}px` }}></i>${named && html`<b key=${`m${k}`} style=${{ top }}>${name}</b>`}`;
    });
  }, [buckets]);
}

/** Return the days, and a way for a list to begin at one of them.
 * @param {Day[]} days @param {number} total @param {boolean} oldestFirst @param {(date: string) => string} begin the time at which a day begins */
export function anchorsOf(days, total, oldestFirst, begin) {
  return (/** @type {number} */ index) => {
    const wanted = oldestFirst ? total - 1 - index : index;
    const found = days.findLast((entry) => entry.at <= wanted);
    if (!found) return null;
    const start = begin(found.date);
    const end = begin(new Date(Date.parse(found.date) + MS).toISOString().slice(0, 10));
    if (oldestFirst) return { at: total - found.at - found.count, forward: { created_after: start }, backward: { created_before: start } };
    return { at: found.at, forward: { created_before: end }, backward: { created_after: end } };
  };
}
