// The assets of a job, its events, and its parameters, each as a tab.
import { count, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { changed, place } from "../core/route.js";
import { useRows } from "../core/rows.js";
import { Copy, Empty, Failure, Icon, Skeleton } from "../parts/basic.js";
import { columnsOf } from "../parts/history.js";
import { Json } from "../parts/json.js";
import { More, Table } from "../parts/table.js";
import { Caption, Face } from "../parts/tile.js";

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobAssets({ live }) {
  const at = place.value.query.get("at");
  const list = useRows(`${live.path}/assets`, { page_size: 120, as_of: at, attempt: live.attempt }, "assets", live.changes.value);
  if (list.error) return h(Failure, { error: list.error, retry: list.retry });
  if (!list.ready) return h(Skeleton, { lines: 6 });
  return html`<div class="scroll">${at && html`<p class="part">As of position ${count(Number(at))}. <a class="link" href=${changed({ at: null })}>Show them as they are now</a></p>`}
    ${!list.rows.length && h(Empty, { title: `This job recorded ${count(live.replay.value?.events.length ?? 0)} events and no assets.` })}
    <div class="gridbox">${list.rows.map((/** @type {any} */ asset) => html`<a key=${asset.id} class="tile" href=${`/assets/${asset.id}`}>${h(Face, { asset })}${h(Caption, { asset })}</a>`)}</div>
    ${list.more && h(More, { more: list.more, key: list.rows.length })}</div>`;
}

const STEP = 300;

/** The events of a job. @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobEvents({ live }) {
  const [shown, setShown] = useState(STEP);
  const events = (live.changes.value, live.replay.value?.events ?? []);
  const names = new Map(events.filter((event) => event.data.name).map((event) => [event.asset_id, event.data.name]));
  const nameOf = (/** @type {LedgerEvent} */ event) => event.data.name ?? names.get(event.asset_id) ?? event.asset_id;
  const curl = `curl -s -H 'Accept: application/x-ndjson' ${location.origin}${live.path}/history`;
  return html`<div class="scroll"><p class="pad">${h(Icon, { name: "link", small: true })} <span class="mono wrap">${curl}</span> ${h(Copy, { text: curl, label: "Copy as curl" })}</p>
    ${h(Table, { columns: columnsOf(nameOf).filter((column) => column.name !== "Job"), rows: events.slice(0, shown), keyOf: (event) => event.position, label: "Events of the job", tight: true, more: shown < events.length ? () => setShown(shown + STEP) : undefined })}</div>`;
}

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function Parameters({ live }) {
  const job = /** @type {Job} */ (live.job.value);
  return html`<div class="scroll"><div class="pad">
    ${job.error && html`<div class="errorbox" role="note">${job.error.split("\n").map((line, k) => html`<div key=${k}>${visible(line)}</div>`)}</div>`}
    ${job.parameters ? html`<p>${h(Copy, { text: JSON.stringify(job.parameters, null, 2), label: "Copy the parameters" })}</p><div class="json tree">${h(Json, { value: job.parameters })}</div>` : h(Empty, { icon: "sliders-horizontal", title: "This job was started without parameters." })}</div></div>`;
}
