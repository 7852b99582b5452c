// Two jobs side by side, aligned by the API: where they part first, and every row.
import { part } from "../core/api.js";
import { count, short, visible } from "../core/format.js";
import { h, html, useRef, useState } from "../core/html.js";
import { place, setQuery } from "../core/route.js";
import { useGet, useRows } from "../core/rows.js";
import { Curl, Failure, Icon, lazy, Skeleton } from "../parts/basic.js";
import { Dialog, show } from "../parts/over.js";
import { Table } from "../parts/table.js";
import { Face } from "../parts/tile.js";

/** @type {Record<string, [string, string]>} */
const MARKS = { same: ["check", "Same"], different: ["git-compare", "Different"], only_a: ["minus", "Only here"], only_b: ["plus", "Only there"] };
const STEP = 200;
const Changes = lazy(async () => (await import("../previews/compare.js")).Changes);

/** @typedef {import("../core/job.js").LiveJob} LiveJob */

/** @param {{live: LiveJob}} properties */
export function Compare({ live }) {
  const { query } = place.value;
  const other = query.get("with") ?? "";
  const mine = /** @type {Job} */ (live.job.value);
  const { value: theirs, error, retry } = useGet(other && `/api/jobs/${part(other)}`);
  const a = Number(live.attempt) || mine.attempt;
  const b = Number(query.get("with_attempt")) || (other === live.id ? (mine.attempts.findLast(({ attempt }) => attempt !== a)?.attempt ?? a) : theirs?.attempt);
  return html`<div class="scroll"><form class="pagehead" onSubmit=${(event) => event.preventDefault()}>
    ${h(Choose, { live, job: mine, other })}${h(Attempts, { name: "Attempt", job: mine, now: a, param: "attempt" })}${theirs && h(Attempts, { name: "Attempt of the other", job: theirs, now: b, param: "with_attempt" })}</form>
    ${error ? h(Failure, { error, retry }) : theirs && h(Compared, { key: `${other} ${a} ${b}`, live, other, attempts: [a, b] })}</div>`;
}

/** @param {{live: LiveJob, job: Job, other: string}} properties */
function Choose({ live, job, other }) {
  const list = useRows("/api/jobs", { workflow_id: job.workflow_id, sort: "-created_at", page_size: 50 }, "jobs");
  const ids = list.rows.map((each) => each.job_id).filter((id) => id !== live.id || job.attempts.length > 1);
  const choose = (/** @type {Event} */ event) => setQuery({ with: /** @type {HTMLInputElement} */ (event.target).value, with_attempt: null });
  return html`<label class="field">Compare with
    <input class="input" list="other-jobs" value=${other} onChange=${choose} placeholder="id of a job" /></label>
    <datalist id="other-jobs">${ids.map((id) => html`<option key=${id} value=${id} />`)}</datalist>
    ${!other && html`<span class="quiet">${ids.length ? "Choose a job of the same workflow, or another attempt." : "There is no other job of this workflow."}</span>`}`;
}

/** @param {{name: string, job: Job, now: number, param: string}} properties */
function Attempts({ name, job, now, param }) {
  if (job.attempts.length < 2) return null;
  return html`<label class="field">${name}<select class="input" onChange=${(event) => setQuery({ [param]: event.target.value })}>${job.attempts.map(({ attempt, status }) => html`<option key=${attempt} value=${attempt} selected=${attempt === now}>${attempt}: ${status}</option>`)}</select></label>`;
}

/** @param {{live: LiveJob, other: string, attempts: number[]}} properties of both jobs */
function Compared({ live, other, attempts }) {
  const [all, setAll] = useState(false);
  const status = Object.keys(MARKS).filter((each) => all || each !== "same");
  const path = `${live.path}/compare/${part(other)}`;
  const params = { attempt: attempts, status, page_size: STEP };
  const list = useRows(path, params, "rows");
  const answer = useRef(/** @type {any} */ (null));
  answer.current = list.first ?? answer.current; // stays while the same ones are loaded
  if (list.error) return h(Failure, { error: list.error, retry: list.retry });
  if (!answer.current) return h(Skeleton, { lines: 8 });
  const { first_divergence: first, counts } = answer.current;
  const keyOf = (/** @type {any} */ row) => JSON.stringify([row.node_id, row.name, row.nth]);
  return html`<p class=${first ? "part" : "part ok"}>${first ? html`They part at <b><bdi>${visible(first.node_id ?? "no node")}</bdi></b>, <b><bdi>${visible(first.name)}</bdi></b> (number ${count(first.nth)}): ${MARKS[first.status][1].toLowerCase()}.` : "Every asset of one is in the other, with the same bytes."}</p>
    <div class="sub num">${Object.entries(MARKS).map(([status, [, word]]) => html`<span key=${status}><b>${count(counts[status] ?? 0)}</b> ${word.toLowerCase()}</span>`)}
      <label class="sp"><input type="checkbox" checked=${all} onChange=${() => setAll(!all)} /> Show the same ones too</label>${h(Curl, { path, params })}</div>
    ${h(Table, { columns: COLUMNS, rows: list.rows, keyOf, label: "Compared assets", kindOf: (row) => (first && keyOf(row) === keyOf(first) ? "first" : ""), more: list.more })}`;
}

/** Both assets of a row: what differs. @param {{row: any, close: () => void}} properties */
function Both({ row, close }) {
  const of = (/** @type {Asset} */ asset, /** @type {string} */ name) => ({ asset, name, url: String(asset.get_url) });
  return h(Dialog, { title: visible(row.name), close, wide: true }, html`<div class="comparison">${h(Changes, { old: of(row.a, "This job"), now: of(row.b, "The other") })}</div>`);
}

/** @param {any} asset */
const side = (asset) => (asset ? html`<a class="pair" href=${`/assets/${asset.id}`} title=${visible(asset.name)}>${h(Face, { asset, width: 56, plain: true })}<span class="mono quiet">${asset.digest ? short(asset.digest.slice(7)) : "no bytes"}</span></a>` : html`<span class="quiet">not there</span>`);

const COLUMNS = [
  {
    name: "Result",
    cell: (/** @type {any} */ row) =>
      html`<span class=${`mark ${row.status}`}>${h(Icon, { name: MARKS[row.status][0], small: true })}${MARKS[row.status][1]}</span>${row.status === "different" && html` <button class="btn small" aria-label=${`Look at what differs in ${visible(row.name)}`} onClick=${() => show(Both, { row })}>Look</button>`}`,
  },
  { name: "Node", opt: true, cell: (/** @type {any} */ row) => html`<bdi>${visible(row.node_id ?? "")}</bdi>` },
  { name: "Name", cell: (/** @type {any} */ row) => html`<bdi>${visible(row.name)}</bdi>${row.nth > 1 && ` (${count(row.nth)})`}` },
  { name: "This job", cell: (/** @type {any} */ row) => side(row.a) },
  { name: "The other", cell: (/** @type {any} */ row) => side(row.b) },
];
