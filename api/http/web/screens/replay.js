// Replay: what a job did, event by event. Lanes by node, a playhead, the state at that event.
import { sums, timeOf } from "../core/fold.js";
import { bytes, clock, count, counted, duration, offset, time, visible } from "../core/format.js";
import { h, html, useEffect, useMemo, useRef, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { axis, histogram, lanesOf, nearest, places, stacks, thin } from "../core/lanes.js";
import { place, setQuery } from "../core/route.js";
import { Icon, IconButton, useSmall } from "../parts/basic.js";
import { Face } from "../parts/tile.js";
import { Side, TOPICS } from "./state.js";

/** @typedef {import("../core/lanes.js").Lane} Lane */
/** @typedef {import("../core/lanes.js").Mark} Mark */

/** @type {string[]} */
const NONE = [];
const SPEEDS = [1, 2, 4, 8, 16, 32, 64];

/** The playhead: the number of events up to it. It follows a running job until it is moved.
 * @param {import("../core/fold.js").Replay} replay */
function usePlayhead(replay) {
  const total = replay.events.length;
  const here = () => {
    const asked = place.value.query.get("at");
    return asked === null ? replay.events.length : Math.max(1, replay.upto(Number(asked)));
  };
  const at = here();
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(8);
  const move = (/** @type {number} */ n) => {
    const to = Math.max(1, Math.min(n, total));
    setQuery({ at: to === total ? null : replay.events[to - 1].position }, { replace: true });
  };
  const step = (/** @type {number} */ by) => move(here() + by); // not `at`: keys may come faster than frames
  useEffect(() => {
    if (!playing) return;
    if (at >= total) return setPlaying(false);
    const gap = (timeOf(replay.events[at]) - timeOf(replay.events[at - 1])) / speed;
    const timer = setTimeout(() => move(at + 1), Math.max(30, Math.min(gap, 1500)));
    return () => clearTimeout(timer);
  }, [playing, at, speed, total]);
  const play = () => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) return move(at + 1);
    if (!playing && at >= total) move(1);
    setPlaying(!playing);
  };
  const faster = (/** @type {number} */ by) => setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(speed) + by))]);
  return { at, total, move, step, playing, play, speed, faster };
}

/** @param {{live: import("../core/job.js").LiveJob, verdict: any}} properties */
export function Replayed({ live, verdict }) {
  const replay = /** @type {import("../core/fold.js").Replay} */ ((live.changes.value, live.replay.value));
  const head = usePlayhead(replay);
  const byTime = place.value.query.get("scale") !== "order";
  const [open, setOpen] = useState(false);
  const scales = useMemo(() => places(replay.events, byTime), [replay, head.total, byTime]);
  const lanes = useMemo(() => lanesOf(replay.events, scales, replay.userId), [replay, scales]);
  const { xs } = scales;
  const scale = (/** @type {boolean} */ order) => setQuery({ scale: order ? "order" : null }, { replace: true });
  const { at, move } = head;
  useKeys(
    {
      " ": head.play,
      ArrowRight: () => head.step(1),
      ArrowLeft: () => head.step(-1),
      "Shift+ArrowRight": () => head.step(10),
      "Shift+ArrowLeft": () => head.step(-10),
      Home: () => move(1),
      End: () => move(head.total),
      ",": () => head.faster(-1),
      ".": () => head.faster(1),
      o: () => scale(byTime),
    },
    [at, head.total, byTime, head.playing, head.speed],
  );
  const small = useSmall();
  if (!head.total) return html`<p class="quiet">This job has no events.</p>`;
  const state = replay.at(at);
  const now = replay.events[at - 1];
  const sum = sums(state);
  return html`<div class="replay">
    ${h(Lanes, { lanes, scales, replay, at, byTime, scale, move, sum })}
    ${small && h(NowBar, { state, now, made: sum.assets, open: () => setOpen(!open), isOpen: open })}
    ${h(Transport, { head, xs, replay })}</div>
    ${h(Side, { state, sum, now, lanes, replay, at, move, verdict, open })}`;
}

/** @param {{lanes: Lane[], scales: ReturnType<typeof places>, replay: import("../core/fold.js").Replay, at: number, byTime: boolean,
 *   scale: (order: boolean) => void, move: (n: number) => void, sum: any}} properties */
function Lanes({ lanes, scales, replay, at, byTime, scale, move, sum }) {
  const box = useRef(null);
  const [width, setWidth] = useState(700);
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const watch = new ResizeObserver(() => setWidth(element.clientWidth - (innerWidth <= 720 ? 0 : 176)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const { xs, begin, cuts } = scales;
  const now = replay.events[at - 1];
  const flag = byTime ? offset(timeOf(now) - begin) : count(at);
  const jump = (/** @type {MouseEvent} */ event) => {
    const track = /** @type {HTMLElement} */ (event.target).closest(".track");
    if (!track) return;
    const rect = track.getBoundingClientRect();
    move(nearest(xs, (event.clientX - rect.left) / rect.width) + 1);
  };
  return html`<div class="lanes" role="group" tabindex="0" aria-label="Events by node over time" ref=${box} onClick=${jump}>
    <div class="corner"><div class="seg">
      <button aria-pressed=${byTime} onClick=${() => scale(false)}>Time</button><button aria-pressed=${!byTime} onClick=${() => scale(true)}>Order</button></div></div>
    <div class="axis num">${byTime && axis(scales, width / 100).map((mark, k) => html`<span key=${mark.ms} style=${{ left: percent(mark.x) }}>${k ? offset(mark.ms) : time(replay.events[0].time)}</span>`)}</div>
    ${lanes.map((lane) => h(Track, { key: lane.id ?? "", lane, at, width, run: sum.nodes.get(lane.id) }))}
    <div class="over">${byTime && cuts.map((cut) => html`<div key=${cut.ms} class="cut-line" title="Time without events is cut here." style=${{ left: percent(cut.x) }}></div>`)}<div class="future" style=${{ left: percent(xs[at - 1]) }}></div>
      ${h(Sources, { box, at, now: replay.state.assets.get(now.asset_id ?? "") ?? null, replay, width })}
      <div class="head-line" style=${{ left: percent(xs[at - 1]) }}></div><div class="flag" style=${{ left: percent(xs[at - 1]) }}>${flag}</div></div></div>`;
}

/** @param {number} x */
const percent = (x) => `${(x * 100).toFixed(3)}%`;

/** A lane, drawn again when one of its own events is passed.
 * @param {{lane: Lane, at: number, width: number, run: import("../core/fold.js").NodeSum | undefined}} properties */
function Track({ lane, at, width, run }) {
  const { marks, made, color } = lane;
  const past = marks.findLastIndex(({ index }) => index < at);
  const ticks = useMemo(() => thin(marks, width).map((mark) => html`<i key=${mark.index} class=${`tick ${kindOf(mark.event)}`} style=${{ left: percent(mark.x) }}></i>`), [lane, width]);
  const draw = () => html`<div class="lane-label" style=${{ "--c": color }}><b class="cut"><bdi>${lane.id === null ? "No node" : visible(lane.id)}</bdi></b>
      <span class="num cut">${run && run.failed > 0 && html`<b class="bad">${run.failed} failed</b> · `}${counted(made.length, "asset")} · ${bytes(lane.bytes)}</span>${run && run.runs > 0 && h(Runs, { run })}</div>
    <div class="track" style=${{ "--c": color }}>
      ${lane.bars.map((bar) => h(RunBar, { key: bar.first, bar, at }))}
      ${stacks(made, at - 1, width, width < 420 ? 36 : 52).map((pile) => h(Pile, { key: pile.marks[0].index, pile, node: lane.id ?? "", at }))}
      <div class="marks" style=${{ "--at": percent(marks[past]?.x ?? -1) }}>${ticks}</div></div>`;
  return useMemo(draw, [lane, width, past, marks[past]?.index === at - 1]);
}

/** A run of a node, from its start to its end. @param {{bar: import("../core/lanes.js").Bar, at: number}} properties */
function RunBar({ bar: { run, from, to, first, last }, at }) {
  const status = last < at ? run.status : "running";
  const title = `Run ${visible(run.run)} ${status}${status === "running" || !run.seconds ? "" : ` after ${duration(run.seconds * 1000)}`}${status === "failed" && run.error ? `: ${visible(run.error)}` : ""}`;
  return html`<div class=${`run ${status}${first >= at ? " late" : ""}`} role="img" aria-label=${title} title=${title} style=${{ left: percent(from), width: percent(Math.max(0.004, to - from)) }}></div>`;
}

/** @param {{run: import("../core/fold.js").NodeSum}} properties */
function Runs({ run }) {
  return html`<span class="num cut">${counted(run.runs, "run")}${run.running > 0 && `, ${run.running} running`}${run.seconds > 0 && ` · ${duration(run.seconds * 1000)}`}</span>`;
}

const kindOf = (/** @type {LedgerEvent} */ { topic, late }) => (topic.endsWith("deleted") ? "gone" : late ? "after" : topic.startsWith("node.") ? "ran" : "");

/** @param {{pile: import("../core/lanes.js").Stack, node: string, at: number}} properties */
function Pile({ pile, node, at }) {
  const mark = pile.now ? pile.marks.find((each) => each.index === at - 1) : pile.marks.at(-1);
  const asset = /** @type {Asset} */ (mark?.asset);
  const kind = `item${pile.late ? " late" : ""}${pile.now ? " now" : ""}`;
  return html`<div class=${kind} data-node=${node} data-first=${pile.marks[0].index} data-last=${pile.marks.at(-1)?.index} style=${{ left: `min(${percent(pile.x)}, calc(100% - 56px))` }} title=${visible(asset.name)}>
    ${pile.late ? null : h(Face, { asset, width: 52, plain: true })}
    ${pile.marks.length > 1 && html`<span class="n num">${pile.marks.length}</span>`}</div>`;
}

/** Lines from the sources of the asset at hand. @param {{box: {current: HTMLElement | null}, at: number,
 *   now: Asset | null, replay: import("../core/fold.js").Replay, width: number}} properties */
function Sources({ box, at, now, replay, width }) {
  const [lines, setLines] = useState(NONE);
  useEffect(() => {
    const lanes = box.current;
    if (!now?.derived_from.length) return setLines(NONE);
    const [frame, to] = [".over", ".item.now"].map((each) => lanes?.querySelector(each)?.getBoundingClientRect());
    if (!lanes || !frame || !to) return setLines(NONE);
    /** @type {HTMLElement[]} */
    const items = [...lanes.querySelectorAll(/** @type {any} */ (".item:not(.late)"))];
    const itemOf = (/** @type {string} */ id) => {
      const [index, node] = [replay.made.get(id) ?? -1, replay.state.assets.get(id)?.node_id ?? ""];
      return items.filter(({ dataset }) => dataset.node === node && Number(dataset.first) <= index && index <= Number(dataset.last));
    };
    const found = now.derived_from.slice(0, 12).flatMap(itemOf);
    setLines(found.map((from) => curve(from.getBoundingClientRect(), to, frame)));
  }, [at, now?.id, width]);
  return html`<svg aria-hidden="true">${lines.map((d, k) => html`<path key=${k} d=${d} />`)}</svg>`;
}

/** @param {DOMRect} from @param {DOMRect} to @param {DOMRect} frame */
function curve(from, to, frame) {
  const [x1, y1] = [from.right - frame.left + 3, from.top + from.height / 2 - frame.top];
  const [x2, y2] = [to.left - frame.left - 5, to.top + to.height / 2 - frame.top];
  const bend = Math.max(24, (x2 - x1) / 2);
  return `M${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
}

/** @param {{state: any, now: any, made: number, open: () => void, isOpen: boolean}} properties */
function NowBar({ state, now, made, open, isOpen }) {
  const asset = state.assets.get(now.asset_id);
  return html`<div class="nowbar">${asset ? h(Face, { key: `${asset.id} ${asset.version}`, asset, width: 56, plain: true }) : html`<span></span>`}
    <div class="cut"><div class="cut"><bdi>${asset ? visible(asset.name) : (TOPICS[now.topic]?.[1] ?? now.topic)}</bdi></div><div class="m cut">${visible(asset?.node_id ?? now.node_id ?? now.by)} · ${counted(made, "asset")} so far</div></div>
    <button class="btn small icon bare" aria-label="State and events" aria-expanded=${isOpen} onClick=${open}>${h(Icon, { name: isOpen ? "chevron-down" : "chevron-up" })}</button></div>`;
}

/** @param {{head: any, xs: number[], replay: import("../core/fold.js").Replay}} properties */
function Transport({ head, xs, replay }) {
  const { at, total, move, play, playing, speed, faster } = head;
  const now = replay.events[at - 1];
  const asset = replay.state.assets.get(now.asset_id ?? "");
  const words = `Event ${count(at)} of ${count(total)}, ${asset ? visible(`${asset.node_id ?? "no node"} ${now.topic.slice(6)} ${asset.name}`) : now.topic}`;
  const key = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {number} */ to, far = false) => h(IconButton, { icon, label, act: () => move(to), kind: `btn bare icon${far ? " far" : ""}` });
  return html`<div class="transport"><div class="keys">
    ${key("skip-back", "First event", 1, true)}${key("step-back", "One event back", at - 1)}
    <button class="play" aria-label=${playing ? "Pause" : "Play"} title="Space" onClick=${play}>${h(Icon, { name: playing ? "pause" : "play" })}</button>
    ${key("step-forward", "One event on", at + 1)}${key("skip-forward", "Last event", total, true)}
    <button class="btn bare small num" title="Speed: , and ." onClick=${() => (speed === 64 ? faster(-6) : faster(1))}>${speed}×</button></div>
    ${h(Scrubber, { xs, at, total, move, words })}
    <div class="read num"><b>Event ${count(at)} of ${count(total)}</b><br /><span title=${now.time}>${clock(now.time)} · position ${count(now.position)}</span></div></div>`;
}

const PARTS = 110;

/** A slider over the events, with their density above it.
 * @param {{xs: number[], at: number, total: number, move: (n: number) => void, words: string}} properties */
function Scrubber({ xs, at, total, move, words }) {
  const box = useRef(null);
  const here = xs[at - 1] ?? 0;
  const to = (/** @type {PointerEvent} */ event) => {
    const rect = box.current.getBoundingClientRect();
    move(nearest(xs, (event.clientX - rect.left) / rect.width) + 1);
  };
  const down = (/** @type {PointerEvent} */ event) => {
    box.current.setPointerCapture(event.pointerId);
    to(event);
  };
  return html`<div class="scrub" role="slider" tabindex="0" aria-label="Position" aria-valuemin="1" aria-valuemax=${total} aria-valuenow=${at}
    aria-valuetext=${words} ref=${box} onPointerDown=${down} onPointerMove=${(event) => event.buttons && to(event)}>
    ${h(Density, { xs, here })}<div class="rail2"></div><div class="done" style=${{ width: `${here * 100}%` }}></div><div class="knob" style=${{ left: `${here * 100}%` }}></div></div>`;
}

/** @param {{xs: number[], here: number}} properties */
function Density({ xs, here }) {
  const d = useMemo(() => {
    const counts = histogram(xs, PARTS);
    const most = Math.max(...counts);
    return counts.map((n, k) => (n ? `M${k + 0.12} 30v${-3 - (n / most) * 25}h.76V30` : "")).join("");
  }, [xs]);
  return html`<svg viewBox=${`0 0 ${PARTS} 33`} preserveAspectRatio="none" aria-hidden="true"><path d=${d} /><path class="past" d=${d} style=${{ clipPath: `inset(0 ${percent(1 - here)} 0 0) view-box` }} /></svg>`;
}
