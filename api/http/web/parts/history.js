// Events as rows that open to their JSON.
import { count, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { Icon } from "./icon.js";
import { Json } from "./json.js";
import { Copy, Time } from "./text.js";
import { Table } from "./table.js";
import { Dialog, show } from "./dialog.js";

/** One event in full. @param {{event: LedgerEvent, close: () => void}} properties */
function Whole({ event, close }) {
  return h(
    Dialog,
    { title: `Event ${count(event.position)}: ${event.topic}`, close, wide: true },
    html`<div class="confirm">
    <div class="json">${h(Json, { value: event })}</div><footer>${h(Copy, { text: JSON.stringify(event, null, 2), label: "Copy the event" })}</footer></div>`,
  );
}

/** Columns of a table of events. @param {(event: LedgerEvent) => string} nameOf */
export const columnsOf = (nameOf) => [
  { name: "Position", n: true, cell: (/** @type {LedgerEvent} */ event) => html`<button class="btn bare small num" aria-label=${`Show event ${event.position}`} onClick=${() => show(Whole, { event })}>${count(event.position)}</button>` },
  { name: "Time", cell: (/** @type {LedgerEvent} */ event) => h(Time, { at: event.time, form: "clock" }) },
  { name: "Topic", cell: (/** @type {LedgerEvent} */ event) => event.topic },
  { name: "Node", opt: true, cell: (/** @type {LedgerEvent} */ event) => event.node_id && html`<bdi>${visible(event.node_id)}</bdi>` },
  { name: "Job", opt: true, cell: (/** @type {LedgerEvent} */ event) => event.job_id && html`<a class="link" href=${`/jobs/${encodeURIComponent(event.job_id)}?at=${event.position}`}><bdi>${visible(event.job_id)}</bdi></a>` },
  { name: "Asset", cell: (/** @type {LedgerEvent} */ event) => event.asset_id && html`<a class="link" href=${`/assets/${event.asset_id}`}><bdi>${visible(nameOf(event))}</bdi></a>` },
  { name: "By", opt: true, cell: (/** @type {LedgerEvent} */ event) => html`<bdi>${visible(event.by)}</bdi>` },
];

const STEP = 300;

/** The events of a job. @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobEvents({ live }) {
  const [shown, setShown] = useState(STEP);
  const events = (live.changes.value, live.replay.value?.events ?? []);
  const names = new Map(events.filter((event) => event.data.name).map((event) => [event.asset_id, event.data.name]));
  const nameOf = (/** @type {LedgerEvent} */ event) => event.data.name ?? names.get(event.asset_id) ?? event.asset_id;
  const curl = `curl -s -H 'Accept: application/x-ndjson' ${location.origin}${live.path}/history`;
  return html`<div class="scroll"><p class="pad">${h(Icon, { name: "link", small: true })} <span class="mono">${curl}</span> ${h(Copy, { text: curl, label: "Copy as curl" })}</p>
    ${h(Table, { columns: columnsOf(nameOf).filter((column) => column.name !== "Job"), rows: events.slice(0, shown), keyOf: (event) => event.position, label: "Events of the job", tight: true, more: shown < events.length ? () => setShown(shown + STEP) : undefined })}</div>`;
}
