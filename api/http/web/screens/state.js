// Beside a replay: the state at the event, the event itself, and the events around it.
import { timeOf } from "../core/fold.js";
import { bytes, clock, count, counted, offset, short, visible } from "../core/format.js";
import { h, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../core/html.js";
import { windowOf } from "../core/pages.js";
import { Icon, Name } from "../parts/basic.js";
import { Face } from "../parts/tile.js";

const ROW = 30;

/** Icon and word of each kind of event. @type {Record<string, [string, string]>} */
export const TOPICS = {
  "asset.created": ["plus", "Recorded"],
  "asset.described": ["pencil", "Described"],
  "asset.content_replaced": ["rotate-ccw", "Content replaced"],
  "asset.deleted": ["trash-2", "Deleted"],
  "asset.restored": ["undo-2", "Restored"],
  "job.started": ["play", "Job started"],
  "job.finished": ["circle-check", "Job finished"],
  "node.started": ["play", "Run started"],
  "node.finished": ["check", "Run finished"],
};

/** A component without state that is drawn again when a property changes. @template P @param {(properties: P) => any} View */
const still = (View) => (/** @type {P} */ properties) => useMemo(() => View(properties), Object.values(/** @type {any} */ (properties)));

/** Icon and word of an event. @param {LedgerEvent} event */
function kindOf({ topic, data }) {
  const [icon, word] = TOPICS[topic] ?? ["activity", topic];
  return data.status === "failed" ? ["circle-x", word.replace("finished", "failed")] : [icon, word];
}

/** @param {any} properties */
export function Side({ state, sum, now, lanes, replay, at, move, verdict, open }) {
  const [amount, unit] = bytes(sum.bytes).split(" ");
  const most = Math.max(...lanes.map((/** @type {any} */ { made }) => made.length), 1);
  return html`<aside class=${open ? "side open" : "side"} aria-label="State at this event">
    <section class="state"><h2>State at this event<span class="end num" title=${now.time}>${clock(now.time)}</span></h2>
      <div class="three num">${figure(count(sum.assets), "assets")}${figure(amount, unit)}${figure(count(sum.deleted), "deleted")}</div>
      <ul class="bars">${lanes.map((/** @type {any} */ lane) => h(Bar, { key: lane.id ?? "", lane, made: sum.nodes.get(lane.id)?.assets ?? 0, most }))}</ul></section>
    ${h(This, { now, state, verdict })}
    <section class="list"><h2>Events<span class="end">of all nodes</span></h2>${h(Around, { replay, lanes, at, move })}</section></aside>`;
}

/** @param {string} value @param {string} unit */
const figure = (value, unit) => html`<div><b>${value}</b><span>${unit}</span></div>`;

/** @type {(properties: {lane: import("../core/lanes.js").Lane, made: number, most: number}) => any} */
const Bar = still(
  ({ lane, made, most }) => html`<li style=${{ "--c": lane.color }}><bdi class="cut">${lane.id === null ? "No node" : visible(lane.id)}</bdi>
    <span class="t"><i style=${{ width: `${(made / most) * 100}%` }}></i></span><span class="num"><b>${count(made)}</b> of ${count(lane.made.length)}</span></li>`,
);

/** The event at hand. @param {any} properties */
function This({ now, state, verdict }) {
  const asset = state.assets.get(now.asset_id);
  const [icon, word] = kindOf(now);
  const proven = verdict.state === "proven" && verdict.checked.size >= now.position;
  return html`<section class="this"><h2>This event${now.late && html`<span class="warn">after the end of its attempt</span>`}${proven && html`<span class="end ok">${h(Icon, { name: "shield-check", small: true })}proven</span>`}</h2>
    ${
      asset
        ? html`<div class="card"><figure>${h(Face, { key: `${asset.id} ${asset.version}`, asset, width: 160 })}</figure><div class="cut">
      <p><a class="link" href=${`/assets/${asset.id}`}>${h(Name, { name: asset.name })}</a></p>
      <p class="m cut">${word}${asset.node_id && ` by ${visible(asset.node_id)}`}</p>
      <p class="m num cut">${bytes(asset.size)}${asset.derived_from.length > 0 && ` · from ${counted(asset.derived_from.length, "asset")}`}</p>
      <p class="m mono cut" title=${asset.digest}>${asset.digest ? `sha256:${short(asset.digest.slice(7))}` : "no bytes"}</p></div></div>`
        : html`<div class="event"><p>${h(Icon, { name: icon })} ${word}${now.node_id && html` <bdi>${visible(now.node_id)}</bdi>`}</p>
      <p class="m">${now.data.status ?? `by ${visible(now.by)}`}${now.data.error && html`: <span class="bad">${visible(now.data.error)}</span>`}</p></div>`
    }</section>`;
}

/** The events around the playhead. @param {any} properties */
function Around({ replay, lanes, at, move }) {
  const box = useRef(null);
  const [height, setHeight] = useState(400);
  const [moved, setMoved] = useState({ at: 0, top: 0 });
  const top = moved.at === at ? moved.top : Math.max(0, (at - 5) * ROW);
  const colors = new Map(lanes.map((/** @type {any} */ lane) => [lane.id, lane.color]));
  const rows = replay.events.length;
  useEffect(() => setHeight(box.current.clientHeight), []);
  const scrolled = () => box.current.scrollTop !== top && setMoved({ at, top: box.current.scrollTop });
  useLayoutEffect(() => {
    box.current.scrollTop = top;
    scrolled(); // at its end the list scrolls no further
  }, [at]);
  const view = windowOf({ scrollTop: top, viewHeight: height, rowHeight: ROW, rows });
  const begin = timeOf(replay.events[0]);
  const color = (/** @type {any} */ { topic, data, node_id }) => (topic === "asset.deleted" || data.status === "failed" ? "var(--bad)" : (colors.get(node_id) ?? "var(--text-3)"));
  const go = (/** @type {any} */ { target }) => target.closest("button") && move(target.closest("li").value);
  return html`<ol ref=${box} tabindex="0" aria-label="Events of the job" onClick=${go} onScroll=${scrolled}><li class="spacer" aria-hidden="true" style=${{ height: `${view.height}px` }}></li>
    ${replay.events.slice(view.start, view.stop).map((/** @type {any} */ event, /** @type {number} */ k) => {
      const n = view.start + k + 1;
      return h(Row, { key: event.position, event, n, top: view.top + k * ROW, late: n > at, now: n === at, color: color(event), name: event.asset_id && nameOf(replay, event), after: timeOf(event) - begin });
    })}</ol>`;
}

/** An event among others. @type {(properties: any) => any} */
const Row = still(
  ({ event, n, top, late, now, color, name, after }) => html`<li value=${n} class=${late ? "late" : ""} aria-current=${now ? "step" : undefined} style=${{ "--c": color, top: `${top}px` }}>
    <button><span class="q num">${count(n)}</span>${h(Icon, { name: kindOf(event)[0], small: true })}
    ${name ? h(Name, { name }) : html`<span class="cut">${kindOf(event)[1]}</span>`}<span class="x num">${offset(after)}</span></button></li>`,
);

/** The name that the asset of an event had then, or has at the playhead. @param {import("../core/fold.js").Replay} replay @param {any} event */
export const nameOf = (replay, event) => event.data.name ?? replay.state.assets.get(event.asset_id)?.name ?? replay.events[replay.made.get(event.asset_id) ?? -1]?.data.name ?? event.asset_id;
