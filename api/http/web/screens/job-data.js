// The assets of a job, its events, and its parameters, each as a tab.
import { count, counted, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { changed, place } from "../core/route.js";
import { Copy, Empty } from "../parts/basic.js";
import { Gallery } from "../parts/gallery.js";
import { columnsOf, Json } from "../parts/history.js";
import { Table } from "../parts/table.js";

/** The gallery of a job, as of the playhead. @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobAssets({ live }) {
  const at = place.value.query.get("at") ?? undefined;
  const events = live.replay.value?.events.length ?? 0;
  const title = at ? "There were no assets yet." : `This job recorded ${counted(events, "event")} and no assets.`;
  return html`${at && html`<p class="part">As of position ${count(Number(at))}. <a class="link" href=${changed({ at: null })}>Show them as they are now</a></p>`}
    ${h(Gallery, { fixed: { job_id: live.id, attempt: live.attempt || undefined, as_of: at }, empty: h(Empty, { title }) })}`;
}

const STEP = 300;

/** The events of a job. @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobEvents({ live }) {
  const [shown, setShown] = useState(STEP);
  const events = (live.changes.value, live.replay.value?.events ?? []);
  const names = new Map(events.filter((event) => event.data.name).map((event) => [event.asset_id, event.data.name]));
  const nameOf = (/** @type {LedgerEvent} */ event) => event.data.name ?? names.get(event.asset_id) ?? event.asset_id;
  return html`<div class="scroll">${h(Table, { columns: columnsOf(nameOf).filter((column) => column.name !== "Job"), rows: events.slice(0, shown), keyOf: (event) => event.position, label: "Events of the job", tight: true, more: shown < events.length ? () => setShown(shown + STEP) : undefined })}</div>`;
}

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function Parameters({ live }) {
  const job = /** @type {Job} */ (live.job.value);
  return html`<div class="scroll"><div class="pad">
    ${job.error && html`<div class="errorbox" role="note">${job.error.split("\n").map((line, k) => html`<div key=${k}>${visible(line)}</div>`)}</div>`}
    ${job.parameters ? html`<p>${h(Copy, { text: JSON.stringify(job.parameters, null, 2), label: "Copy the parameters" })}</p><div class="json tree">${h(Json, { value: job.parameters })}</div>` : h(Empty, { icon: "sliders-horizontal", title: "This job was started without parameters." })}</div></div>`;
}
