// The assets of a job, now or at the playhead (`at`, asked of the API as `as_of`).
import { count } from "../core/format.js";
import { h, html } from "../core/html.js";
import { changed, place } from "../core/route.js";
import { useRows } from "../core/rows.js";
import { Empty, Failure, Skeleton } from "../parts/notice.js";
import { More } from "../parts/table.js";
import { Caption, Face } from "../parts/tile.js";

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobAssets({ live }) {
  const at = place.value.query.get("at");
  const list = useRows(`${live.path}/assets`, { page_size: 120, as_of: at }, "assets", live.changes.value);
  if (list.error) return h(Failure, { error: list.error, retry: list.retry });
  if (!list.ready) return h(Skeleton, { lines: 6 });
  return html`<div class="scroll">${at && html`<p class="part">As of position ${count(Number(at))}. <a class="link" href=${changed({ at: null })}>Show them as they are now</a></p>`}
    ${!list.rows.length && h(Empty, { title: `This job recorded ${count(live.replay.value?.events.length ?? 0)} events and no assets.` })}
    <div class="gridbox">${list.rows.map((/** @type {any} */ asset) => html`<a key=${asset.id} class="tile" href=${`/assets/${asset.id}`}>${h(Face, { asset })}${h(Caption, { asset })}</a>`)}</div>
    ${list.more && h(More, { more: list.more, key: list.rows.length })}</div>`;
}
