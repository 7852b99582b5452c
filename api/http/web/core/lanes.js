// Where events stand in the lanes of a replay: fractions of the width, by time or by order.
import { empty, evolve, timeOf } from "./fold.js";

/** @typedef {{index: number, x: number, event: LedgerEvent, asset: Asset | null}} Mark */
/** @typedef {{id: string | null, color: string, marks: Mark[], made: Mark[], bytes: number}} Lane */

const SERIES = 8;
const LEFT = 0.01;
const SPAN = 0.925; // room for the last picture

/** The colour of a node by its order of appearance. @param {number} k */
export const colorOf = (k) => (k < 0 ? "var(--text-3)" : `var(--s${(k % SERIES) + 1})`);

/** Place of each event from 0 to 1. @param {LedgerEvent[]} events @param {boolean} byTime */
export function places(events, byTime) {
  const first = events.length ? timeOf(events[0]) : 0;
  const last = events.length ? Math.max(...events.map(timeOf)) : 0;
  if (!byTime || last <= first) return events.map((_, k) => LEFT + (SPAN * k) / Math.max(1, events.length - 1));
  return events.map((event) => LEFT + (SPAN * Math.max(0, timeOf(event) - first)) / (last - first));
}

/** The lanes of a job, in the order of first appearance. @param {LedgerEvent[]} events @param {number[]} xs
 * @param {string} userId @returns {Lane[]} */
export function lanesOf(events, xs, userId) {
  const state = empty();
  const lanes = new Map();
  events.forEach((event, index) => {
    evolve(state, event, userId);
    const asset = event.asset_id ? (state.assets.get(event.asset_id) ?? null) : null;
    const id = asset?.node_id ?? event.node_id;
    if (!asset && !id) return;
    if (!lanes.has(id)) lanes.set(id, { id, color: "", marks: [], made: [], bytes: 0 });
    const lane = lanes.get(id);
    const mark = { index, x: xs[index], event, asset };
    lane.marks.push(mark);
    if (event.topic !== "asset.created" || !asset) return;
    lane.made.push(mark);
    lane.bytes += asset.size;
  });
  return [...lanes.values()].map((lane, k) => ({ ...lane, color: colorOf(lane.id === null ? -1 : k) }));
}

/** @typedef {{x: number, marks: Mark[], late: boolean, now: boolean}} Stack */

/** Stack what would cover one another. @param {Mark[]} made @param {number} now index of the event at hand
 * @param {number} width of the lane in px @param {number} size of a picture in px @returns {Stack[]} */
export function stacks(made, now, width, size) {
  /** @type {Stack[]} */
  const found = [];
  for (const mark of made) {
    const last = found.at(-1);
    const away = last ? (mark.x - last.x) * width : Infinity;
    const late = mark.index > now;
    const here = mark.index === now;
    if (!last || away >= size - 6 || late !== last.late || (here && away > 8)) found.push({ x: mark.x, marks: [mark], late, now: here });
    else {
      last.marks.push(mark);
      last.now ||= here;
    }
  }
  return found;
}

/** Events in each of `n` equal parts of the width. @param {number[]} xs @param {number} n */
export function histogram(xs, n) {
  const counts = Array(n).fill(0);
  for (const x of xs) counts[Math.min(n - 1, Math.floor(x * n))] += 1;
  return counts;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** The marks of a time axis: at most `most`. @param {number} ms its length @param {number} most
 * @returns {{x: number, ms: number}[]} */
export function axis(ms, most) {
  if (ms <= 0) return [];
  const step = (STEPS.find((s) => ms / 1000 / s <= most) ?? Math.ceil(ms / 1000 / most)) * 1000;
  return Array.from({ length: Math.floor(ms / step) + 1 }, (_, k) => ({ x: LEFT + (SPAN * k * step) / ms, ms: k * step }));
}
