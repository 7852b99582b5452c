// Usage: which nodes, jobs, workflows, types or days made the most; also of one node or workflow.
import { allRows, get, part } from "../core/api.js";
import { chips } from "../core/filters.js";
import { begin, bytes, count, counted, dayMonth, duration, visible, zone } from "../core/format.js";
import { h, html } from "../core/html.js";
import { colorOf } from "../core/lanes.js";
import { changed, place, setQuery } from "../core/route.js";
import { useAnswer, useGet, useRows } from "../core/rows.js";
import { Curl, Empty, Failure, Icon, Skeleton, Time, useTitle } from "../parts/basic.js";
import { Columns } from "../parts/chart.js";
import { Chips, useFilters } from "../parts/filters.js";
import { Menu, toast } from "../parts/over.js";
import { save } from "../parts/seal.js";
import { Table } from "../parts/table.js";
import { Caption, Face } from "../parts/tile.js";

/** @typedef {{field: string, id: string, name: string}} Subject */

const BY = [
  ["node_id", "Node"],
  ["job_id", "Job"],
  ["workflow_id", "Workflow"],
  ["content_type", "Type"],
  ["day", "Day"],
  ["hour", "Hour"],
];
const TIMES = new Set(["day", "hour"]);
const RANGES = [
  ["", "All time"],
  ["24h", "Last 24 h"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
  ["90d", "Last 90 days"],
  ["365d", "Last 365 days"],
];
const TOP = 7;

/** @param {{id?: string}} properties of one node or workflow, or of all */
export function Screen({ id }) {
  const kind = place.value.path.split("/")[1];
  const subject = id === undefined ? null : { field: kind === "nodes" ? "node_id" : "workflow_id", id, name: kind === "nodes" ? "Node" : "Workflow" };
  const query = place.value.query;
  const by = query.get("by") ?? (subject?.field === "node_id" ? "job_id" : "node_id");
  const sort = query.get("sort") ?? (TIMES.has(by) ? "key" : "-bytes");
  const fixed = subject ? { [subject.field]: subject.id } : {};
  const filters = useFilters(fixed);
  const params = { group_by: by, sort, tz: TIMES.has(by) ? zone() : null, ...filters };
  const list = useRows("/api/assets/usage", { page_size: 200, ...params }, "usage");
  const ofBytes = query.get("unit") !== "count";
  const title = subject ? visible(subject.id) : "Usage";
  useTitle(title);
  return html`<main class="main" id="main"><div class="pagehead"><h1>${subject && html`<span class="quiet">${subject.name}</span> `}<bdi>${title}</bdi></h1>
      ${subject && html`<a class="btn" href=${toPage("/", fixed)}>${h(Icon, { name: "images" })}Assets</a>`}
      ${h(Chips, { fixed: { ...fixed, made: true } })}${h(Range, {})}
      <div class="seg" role="group" aria-label="By">${BY.filter(([value]) => value !== subject?.field).map(([value, name]) => html`<button key=${value} aria-pressed=${by === value} onClick=${() => setQuery({ by: value, sort: null })}>${name}</button>`)}</div>
      <div class="seg" role="group" aria-label="Unit"><button aria-pressed=${!ofBytes} onClick=${() => setQuery({ unit: "count" })}>Count</button><button aria-pressed=${ofBytes} onClick=${() => setQuery({ unit: null })}>Bytes</button></div>
      <button class="btn" onClick=${() => download(by, params)}>${h(Icon, { name: "download" })}CSV</button>${h(Curl, { path: "/api/assets/usage", params })}</div>
    <div class="scroll">${list.error ? h(Failure, { error: list.error, retry: list.retry }) : !list.ready ? h(Skeleton, { lines: 8 }) : h(Body, { list, by, sort, filters, ofBytes, subject })}</div></main>`;
}

/** The days that are counted. */
function Range() {
  const { query } = place.value;
  const made = query.get("made") ?? (query.has("created_after") || query.has("created_before") ? "chosen" : "");
  const label = RANGES.find(([value]) => value === made)?.[1] ?? (made === "chosen" ? "Chosen days" : `Last ${made}`);
  const choose = (/** @type {string} */ value) => setQuery({ made: value, created_after: null, created_before: null });
  return h(Menu, { name: `Time: ${label}`, kind: "btn", label: html`${label}${h(Icon, { name: "chevron-down", small: true })}`, items: RANGES.map(([value, name]) => ({ label: name, checked: value === made, act: () => choose(value) })) });
}

/** The address of a screen with the filters of this one. @param {string} path @param {Record<string, string | null>} more */
const toPage = (path, more) => changed({ by: null, sort: null, unit: null, ...more }, { ...place.value, path });

/** Save every row, also those that were not loaded yet. @param {string} by @param {import("../core/api.js").Params} params */
async function download(by, params) {
  const head = [by, "count", "bytes", "largest", "first_seen", "last_seen"];
  try {
    const rows = await allRows("/api/assets/usage", params, "usage");
    save(`usage-by-${by}.csv`, csv([head, ...rows.map((row) => [row.key, row.count, row.bytes, row.largest, row.first_seen, row.last_seen])]));
  } catch (error) {
    toast(/** @type {Error} */ (error).message, { bad: true });
  }
}

/** @param {{list: any, by: string, sort: string, filters: any, ofBytes: boolean, subject: Subject | null}} properties */
function Body({ list, by, sort, filters, ofBytes, subject }) {
  if (!list.rows.length) return h(Empty, { icon: "chart-column", title: chips(place.value.query).length ? "Nothing matches these filters." : "Nothing was recorded here yet." });
  const rows = list.rows;
  const value = (/** @type {UsageRow} */ row) => (ofBytes ? row.bytes : row.count);
  const most = Math.max(...rows.map(value), 1);
  const named = BY.find(([field]) => field === by)?.[1] ?? by;
  const columns = [
    { name: named, sort: "key", cell: (/** @type {UsageRow} */ row) => link(by, row.key, subject) },
    { name: ofBytes ? "Share of bytes" : "Share of assets", wide: true, opt: true, cell: (/** @type {UsageRow} */ row, /** @type {number} */ k) => html`<span class="meter"><i style=${{ width: `${(value(row) / most) * 100}%`, "--c": by === "node_id" ? colorOf(k) : "var(--accent)" }}></i></span>` },
    { name: "Bytes", n: true, sort: "-bytes", cell: (/** @type {UsageRow} */ row) => html`<span title=${`${count(row.bytes)} bytes`}>${bytes(row.bytes)}</span>` },
    { name: "Assets", n: true, sort: "-count", cell: (/** @type {UsageRow} */ row) => count(row.count) },
    { name: "Largest", n: true, opt: true, sort: "-largest", cell: (/** @type {UsageRow} */ row) => bytes(row.largest) },
    { name: "Last", n: true, opt: true, cell: (/** @type {UsageRow} */ row) => row.last_seen && h(Time, { at: row.last_seen }) },
  ];
  return html`${subject && h(Numbers, { subject, filters })}${h(OverTime, { filters, ofBytes })}${subject && h(Newest, { filters })}
    ${h(Table, { columns, rows, keyOf: (row) => row.key ?? "", label: `Usage by ${named}`, sorted: sort, sort: (key) => setQuery({ sort: key }), more: list.more, tight: true })}`;
}

const PAGES = { node_id: "/nodes/", job_id: "/jobs/", workflow_id: "/workflows/" };

/** What a node or workflow made and ran. @param {{subject: Subject, filters: any}} properties */
function Numbers({ subject, filters }) {
  const { value } = useGet("/api/assets/usage", { ...filters, group_by: subject.field });
  /** @type {UsageRow | undefined} */
  const row = value?.usage[0];
  if (!row) return null;
  return html`<div class="stats num pad"><span><b>${count(row.count)}</b> ${row.count === 1 ? "asset" : "assets"}</span><span><b>${bytes(row.bytes)}</b></span><span>largest <b>${bytes(row.largest)}</b></span>
    ${row.first_seen && row.last_seen && html`<span>from ${h(Time, { at: row.first_seen })} to ${h(Time, { at: row.last_seen })}</span>`}
    ${row.runs > 0 && html`<span><b>${counted(row.runs, "run")}</b>, ${count(row.failed)} failed, ${duration(row.seconds * 1000)} together</span>`}</div>`;
}

/** @param {{filters: any}} properties */
function Newest({ filters }) {
  const { value } = useGet("/api/assets", { ...filters, sort: "-created_at", page_size: 8 });
  if (!value?.assets.length) return null;
  return html`<section><div class="pagehead"><h2>Newest assets</h2></div>
    <div class="gridbox">${value.assets.map((/** @type {Asset} */ asset) => html`<a key=${asset.id} class="tile" href=${`/assets/${asset.id}`}>${h(Face, { asset })}${h(Caption, { asset })}</a>`)}</div></section>`;
}

/** A row leads to what it counts. @param {string} by @param {string | null} key @param {Subject | null} subject */
function link(by, key, subject) {
  const own = subject ? { [subject.field]: subject.id } : {};
  if (key === null) return html`<a class="quiet" href=${toPage("/", { ...own, missing: by })}>none</a>`;
  const path = PAGES[/** @type {keyof typeof PAGES} */ (by)];
  const href = path ? toPage(path + part(key), { ...own, [by]: null }) : toPage("/", { ...own, ...(TIMES.has(by) ? spanOf(by, key) : { [by]: key }) });
  return html`<a class="strong" href=${href}><bdi>${visible(key)}</bdi></a>`;
}

/** The filters of a day of this browser, or of an hour. @param {string} by @param {string} key */
function spanOf(by, key) {
  const after = by === "day" ? begin(key) : key;
  const before = by === "day" ? begin(key, 1) : new Date(Date.parse(key) + 3_600_000).toISOString();
  return { made: null, created_after: after, created_before: before };
}

/** Columns a day, by node: the seven largest, and the others together. @param {{filters: any, ofBytes: boolean}} properties */
function OverTime({ filters, ofBytes }) {
  const { value: series, error, retry } = useAnswer(JSON.stringify([filters, ofBytes]), (signal) => load(filters, ofBytes, signal));
  if (error) return h(Failure, { error, retry });
  if (!series) return html`<div class="chart"><svg viewBox="0 0 1000 210" aria-hidden="true"></svg></div>`;
  const days = [...new Set(series.flatMap((each) => each.rows.map((row) => row.key ?? "")))].sort();
  const columns = filled(days).map((day) => ({
    label: day,
    short: dayMonth(day),
    parts: series.map((each, k) => ({ name: each.name, color: each.name === "others" ? "var(--line-strong)" : colorOf(k), value: valueOn(each.rows, day, ofBytes) })),
  }));
  return html`${h(Columns, { columns, form: ofBytes ? bytes : count, label: `${ofBytes ? "Bytes" : "Assets"} a day` })}
    <ul class="key">${series.map((each, k) => html`<li key=${each.name} style=${{ "--c": each.name === "others" ? "var(--line-strong)" : colorOf(k) }}><i></i><bdi>${visible(each.name)}</bdi></li>`)}</ul>`;
}

/** @param {UsageRow[]} rows @param {string} day @param {boolean} ofBytes */
function valueOn(rows, day, ofBytes) {
  const row = rows.find((each) => each.key === day);
  return row ? (ofBytes ? row.bytes : row.count) : 0;
}

/** The last 60 days up to the newest, without gaps. @param {string[]} days */
function filled(days) {
  if (!days.length) return [];
  const last = Date.parse(/** @type {string} */ (days.at(-1)));
  const first = Math.min(Date.parse(days[0]), last - 13 * 86_400_000);
  const n = Math.min(60, Math.round((last - first) / 86_400_000) + 1);
  return Array.from({ length: n }, (_, k) => new Date(last - (n - 1 - k) * 86_400_000).toISOString().slice(0, 10));
}

/** @param {any} filters @param {boolean} ofBytes @param {AbortSignal} signal @returns {Promise<{name: string, rows: UsageRow[]}[]>} */
async function load(filters, ofBytes, signal) {
  const split = filters.node_id ? "job_id" : "node_id";
  const ask = (/** @type {any} */ params) => allRows("/api/assets/usage", { tz: zone(), ...filters, ...params }, "usage", signal);
  const [top, all] = await Promise.all([get("/api/assets/usage", { ...filters, group_by: split, sort: ofBytes ? "-bytes" : "-count", page_size: TOP + 1 }, { signal }), ask({ group_by: "day", sort: "key" })]);
  const shown = all.slice(-60);
  const keys = top.usage
    .map((/** @type {UsageRow} */ row) => row.key)
    .filter((/** @type {string | null} */ key) => key !== null)
    .slice(0, TOP);
  if (!shown.length || !keys.length) return [{ name: "others", rows: shown }];
  const later = [filters.created_after ?? "", begin(String(shown[0].key))].sort()[1]; // both are in UTC
  const pairs = await ask({ group_by: `day,${split}`, sort: "key", [split]: keys, created_after: later });
  const parts = keys.map((/** @type {string} */ key) => ({ name: key, rows: pairs.filter((row) => row.subkey === key) }));
  const rest = shown.map((row) =>
    less(
      row,
      pairs.filter((of) => of.key === row.key),
    ),
  );
  return rest.some((/** @type {UsageRow} */ row) => row.count > 0) ? [...parts, { name: "others", rows: rest }] : parts;
}

/** What is left of a row without others. @param {UsageRow} row @param {UsageRow[]} others */
function less(row, others) {
  const rest = { ...row };
  for (const other of others) {
    rest.count -= other.count;
    rest.bytes -= other.bytes;
  }
  return rest;
}

/** A cell of CSV. What a spreadsheet would run as a formula gets a leading apostrophe. @param {unknown} value */
function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {unknown[][]} rows */
const csv = (rows) => `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
