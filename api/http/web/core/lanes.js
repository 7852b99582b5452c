// Where events stand in the lanes of a replay: fractions of the width, by time or by order.
import { empty, evolve, runKey, timeOf } from "./fold.js";

/** @typedef {{index: number, x: number, event: LedgerEvent, asset: Asset | null}} Mark */
/** @typedef {{id: string | null, color: string, marks: Mark[], made: Mark[], bars: Bar[], bytes: number}} Lane */
/** @typedef {{run: import("./fold.js").Run, from: number, to: number, first: number, last: number}} Bar a run of a node:
 * its place, and the indexes of its first and of its last event */

const SERIES = 8;
const LEFT = 0.01;
const SPAN = 0.925; // room for the last picture

/** The colour of a node by its order of appearance. @param {number} k */
export const colorOf = (k) => (k < 0 ? "var(--text-3)" : `var(--s${(k % SERIES) + 1})`);

const IDLE = 60_000; // milliseconds that are always drawn whole

/** Place of each event from 0 to 1, the time of the first one, the milliseconds that are drawn, and where
 * time is cut: a gap in which nothing ran, of more than four times all other time, would leave the
 * events a few pixels. @param {LedgerEvent[]} events @param {boolean} byTime */
export function places(events, byTime) {
  const begin = events.length ? timeOf(events[0]) : 0;
  const times = events.map((event) => Math.max(0, timeOf(event) - begin));
  const { drawn, span, cuts } = withoutIdle(events, times);
  const part = byTime && span ? (/** @type {number} */ k) => drawn[k] / span : (/** @type {number} */ k) => k / Math.max(1, events.length - 1);
  return { begin, span, cuts: cuts.map(({ at, ms }) => ({ x: LEFT + (SPAN * at) / span, ms })), xs: times.map((_, k) => LEFT + SPAN * part(k)) };
}

/** Where each event is drawn. @param {LedgerEvent[]} events @param {number[]} times milliseconds of each */
function withoutIdle(events, times) {
  /** What runs: "job", and the keys of runs of nodes. @type {Set<string>} */
  const running = new Set();
  let [busy, before, at] = [0, 0, 0];
  const gaps = [...times.keys()]
    .sort((a, b) => times[a] - times[b])
    .map((k) => {
      const ms = times[k] - before;
      const idle = ms > IDLE && !running.size;
      before = times[k];
      busy += idle ? 0 : ms;
      note(running, events[k]);
      return { k, ms, idle };
    });
  for (const gap of gaps.filter((each) => each.idle).sort((a, b) => a.ms - b.ms)) {
    gap.idle = busy > 0 && gap.ms > 4 * busy;
    busy += gap.idle ? 0 : gap.ms;
  }
  /** @type {number[]} */
  const drawn = Array(times.length);
  /** @type {{at: number, ms: number}[]} */
  const cuts = [];
  for (const { k, ms, idle } of gaps) {
    if (idle) cuts.push({ at: at + busy / 16, ms: times[k] });
    at += idle ? busy / 8 : ms;
    drawn[k] = at;
  }
  return { drawn, span: at, cuts };
}

/** @param {Set<string>} running @param {LedgerEvent} event */
function note(running, event) {
  if (event.topic === "job.started") running.add("job");
  else if (event.topic === "job.finished") running.clear();
  else if (event.topic === "node.started") running.add(runKey(event));
  else if (event.topic === "node.finished") running.delete(runKey(event));
}

/** The lanes of a job, in the order of first appearance. @param {LedgerEvent[]} events
 * @param {{xs: number[], span: number}} scale @param {string} userId @returns {Lane[]} */
export function lanesOf(events, { xs, span }, userId) {
  const state = empty();
  /** @type {Map<string | null, Lane>} */
  const lanes = new Map();
  /** @type {Map<string, Bar>} */
  const bars = new Map();
  for (const [index, event] of events.entries()) {
    evolve(state, event, userId);
    const asset = event.asset_id ? (state.assets.get(event.asset_id) ?? null) : null;
    const id = asset?.node_id ?? event.node_id;
    if (!asset && !id) continue;
    const lane = lanes.get(id) ?? { id, color: colorOf(id === null ? -1 : lanes.size), marks: [], made: [], bars: [], bytes: 0 };
    lanes.set(id, lane);
    const mark = { index, x: xs[index], event, asset };
    lane.marks.push(mark);
    if (event.topic.startsWith("node.")) extend(bars, lane, mark, state, span);
    if (event.topic !== "asset.created" || !asset) continue;
    lane.made.push(mark);
    lane.bytes += asset.size;
  }
  return [...lanes.values()];
}

/** Begin or end the bar of a run. @param {Map<string, Bar>} bars @param {Lane} lane @param {Mark} mark
 * @param {import("./fold.js").State} state @param {number} span */
function extend(bars, lane, mark, state, span) {
  const key = runKey(mark.event);
  const run = state.runs.get(key);
  if (!run) return;
  const before = bars.get(key);
  const ended = run.status !== "running";
  // a run whose start was not recorded is as long as its seconds
  const from = before?.from ?? (ended && run.seconds && span ? Math.max(LEFT, mark.x - (SPAN * run.seconds * 1000) / span) : mark.x);
  const bar = before ?? { run, from, to: 1, first: mark.index, last: Infinity };
  Object.assign(bar, { run }, ended ? { to: mark.x, last: mark.index } : {});
  if (!before) lane.bars.push(bar);
  bars.set(key, bar);
}

/** Index of the event that is nearest to a place. @param {number[]} xs @param {number} x */
export function nearest(xs, x) {
  let found = 0;
  for (let k = 0; k < xs.length; k += 1) if (Math.abs(xs[k] - x) < Math.abs(xs[found] - x)) found = k;
  return found;
}

/** As many marks as there are pixels: the last one of each. @param {Mark[]} marks @param {number} width px */
export function thin(marks, width) {
  if (marks.length <= width) return marks;
  return [...new Map(marks.map((mark) => [Math.round(mark.x * width), mark])).values()];
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

/** The marks of a time axis, at most `most`, up to the first cut, and one at each cut.
 * @param {{span: number, cuts: {x: number, ms: number}[]}} scale @param {number} most
 * @returns {{x: number, ms: number}[]} */
export function axis({ span, cuts }, most) {
  if (span <= 0) return [];
  const step = (STEPS.find((s) => span / 1000 / s <= most) ?? Math.ceil(span / 1000 / most)) * 1000;
  const marks = Array.from({ length: Math.floor(span / step) + 1 }, (_, k) => ({ x: LEFT + (SPAN * k * step) / span, ms: k * step }));
  return [...marks.filter((mark) => mark.x < (cuts[0]?.x ?? 2) - SPAN / most), ...cuts];
}
