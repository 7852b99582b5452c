// A value of JSON as a tree that folds, and events as rows that open to theirs.
import { part } from "../core/api.js";
import { count, counted, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { Copy, Time } from "./basic.js";
import { Dialog, show } from "./over.js";

const OPEN = 2; // levels that are open at first
const STEP = 200; // members that are shown at once

/** A value of JSON. @param {{value: unknown, name?: string, depth?: number}} properties */
export function Json({ value, name, depth = 0 }) {
  const [open, setOpen] = useState(depth < OPEN);
  const [shown, setShown] = useState(STEP);
  const label = name === undefined ? "" : html`<i>${visible(name)}</i>: `;
  if (value === null || typeof value !== "object") return html`<div class="leaf">${label}<u>${typeof value === "string" ? `"${visible(value)}"` : String(value)}</u></div>`;
  const list = Array.isArray(value);
  const members = list ? value.map((item, k) => /** @type {const} */ ([String(k), item])) : Object.entries(value);
  const [first, last] = list ? "[]" : "{}";
  if (!members.length) return html`<div class="leaf">${label}${first}${last}</div>`;
  return html`<div class="branch"><button aria-expanded=${open} onClick=${() => setOpen(!open)}><span class="fold" aria-hidden="true"></span>${label}${first}${!open && html`<span class="quiet"> ${counted(members.length, list ? "item" : "member")} ${last}</span>`}</button>
    ${
      open &&
      html`<div class="members">${members.slice(0, shown).map(([key, item]) => h(Json, { key, name: list ? undefined : key, value: item, depth: depth + 1 }))}
      ${members.length > shown && html`<button class="btn small" onClick=${() => setShown(shown + STEP * 5)}>${count(members.length - shown)} more</button>`}</div><div class="close">${last}</div>`
    }</div>`;
}

/** One event in full. @param {{event: LedgerEvent, close: () => void}} properties */
function Whole({ event, close }) {
  return h(
    Dialog,
    { title: `Event ${count(event.position)}: ${event.topic}`, close, wide: true },
    html`<div class="confirm">
    <div class="json tree">${h(Json, { value: event })}</div><footer>${h(Copy, { text: JSON.stringify(event, null, 2), label: "Copy the event" })}</footer></div>`,
  );
}

/** Columns of a table of events. @param {(event: LedgerEvent) => string} nameOf @param {(topic: string) => any} [topicOf] what stands for a topic */
export const columnsOf = (nameOf, topicOf = (topic) => topic) => [
  { name: "Position", n: true, cell: (/** @type {LedgerEvent} */ event) => html`<button class="btn bare small num" aria-label=${`Show event ${event.position}`} onClick=${() => show(Whole, { event })}>${count(event.position)}</button>` },
  { name: "Time", opt: true, cell: (/** @type {LedgerEvent} */ event) => h(Time, { at: event.time, form: "clock" }) },
  { name: "Topic", cell: (/** @type {LedgerEvent} */ event) => topicOf(event.topic) },
  { name: "Node", opt: true, cell: (/** @type {LedgerEvent} */ event) => event.node_id && html`<bdi>${visible(event.node_id)}</bdi>` },
  { name: "Job", opt: true, cell: (/** @type {LedgerEvent} */ event) => event.job_id && html`<a class="link" href=${`/jobs/${part(event.job_id)}?at=${event.position}`}><bdi>${visible(event.job_id)}</bdi></a>` },
  { name: "Asset", cell: (/** @type {LedgerEvent} */ event) => event.asset_id && html`<a class="link" href=${`/assets/${event.asset_id}`}><bdi>${visible(nameOf(event))}</bdi></a>` },
  { name: "By", opt: true, cell: (/** @type {LedgerEvent} */ event) => html`<bdi>${visible(event.by)}</bdi>` },
];
