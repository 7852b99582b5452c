// Events as rows that open to their JSON.
import { count, visible } from "../core/format.js";
import { h, html } from "../core/html.js";
import { Copy, Time } from "./basic.js";
import { Json } from "./json.js";
import { Dialog, show } from "./over.js";

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
  { name: "Job", opt: true, cell: (/** @type {LedgerEvent} */ event) => event.job_id && html`<a class="link" href=${`/jobs/${encodeURIComponent(event.job_id)}?at=${event.position}`}><bdi>${visible(event.job_id)}</bdi></a>` },
  { name: "Asset", cell: (/** @type {LedgerEvent} */ event) => event.asset_id && html`<a class="link" href=${`/assets/${event.asset_id}`}><bdi>${visible(nameOf(event))}</bdi></a>` },
  { name: "By", opt: true, cell: (/** @type {LedgerEvent} */ event) => html`<bdi>${visible(event.by)}</bdi>` },
];
