// The jobs: status, pictures, counts, bytes, duration; news waits behind a button.
import { get, part } from "../core/api.js";
import { chips } from "../core/filters.js";
import { bytes, count, counted, duration, visible } from "../core/format.js";
import { h, html, useEffect, useRef, useState } from "../core/html.js";
import { onEvents } from "../core/live.js";
import { place, setQuery } from "../core/route.js";
import { useRows } from "../core/rows.js";
import { Curl, Empty, Failure, Icon, News, Skeleton, Status, Time, useSmall, useTitle, wordOf } from "../parts/basic.js";
import { Chips, useFilters } from "../parts/filters.js";
import { Table } from "../parts/table.js";
import { Face } from "../parts/tile.js";
import { spent } from "./job.js";

const STATUSES = ["", "running", "failed", "completed", "untracked"];
const NONE = {};
const RARE = ["cancelled", "stale", "lost"]; // offered where there is such a job

export function Screen() {
  const query = place.value.query;
  const [status, sort] = [query.get("status") ?? "", query.get("sort") ?? "-created_at"];
  const prefix = query.get("q") ?? "";
  const [turn, setTurn] = useState(0);
  const params = { ...useFilters(NONE), status, sort, preview: 4, count: "status", page_size: 50 };
  const list = useRows("/api/jobs", params, "jobs", turn);
  const news = useNews({ ...params, status: "", page_size: 200 }, turn);
  const known = useRef({ seen: new WeakSet(), counts: /** @type {Record<string, number> | undefined} */ (undefined) }).current;
  for (const answer of [list.first, news]) {
    if (answer?.counts && !known.seen.has(answer)) {
      known.seen.add(answer);
      known.counts = answer.counts; // those that came last stay while others are loaded
    }
  }
  const { counts } = known;
  const rows = list.rows.map((job) => news.jobs.find(({ job_id }) => job_id === job.job_id) ?? job);
  const [picked, setPicked] = useState(/** @type {string[]} */ ([]));
  useTitle("Jobs");
  const pick = (/** @type {string} */ id) => setPicked((before) => (before.includes(id) ? before.filter((each) => each !== id) : [...before.slice(-1), id]));
  return html`<main class="main" id="main"><div class="pagehead"><h1>Jobs</h1>
      ${picked.length === 2 && html`<a class="btn primary" href=${`/jobs/${part(picked[0])}?tab=compare&with=${encodeURIComponent(picked[1])}`}>${h(Icon, { name: "git-compare" })}Compare</a>`}
      ${h(News, { text: news.changed ? `${count(news.changed)} changed` : "", show: () => setTurn(turn + 1) })}
      ${h(Chips, { fixed: NONE })}
      <input class="input" type="search" aria-label="Jobs whose ids begin with" placeholder="Id begins with" value=${prefix} onChange=${(/** @type {any} */ event) => setQuery({ q: event.target.value || null })} />
      <button class="btn bare" onClick=${() => setQuery({ sort: sort === "created_at" ? null : "created_at" })}>${h(Icon, { name: "arrow-up-down", small: true })}${sort === "created_at" ? "Oldest" : "Newest"}</button>
      ${h(Curl, { path: "/api/jobs", params })}
      <div class="seg" role="group" aria-label="Status">${[...STATUSES, ...RARE.filter((each) => counts?.[each] || each === status)].map((value) => html`<button key=${value} aria-pressed=${status === value} onClick=${() => setQuery({ status: value })}>${value ? wordOf(value) : "All"}${value && counts ? html` <span class="quiet num">${count(counts[value] ?? 0)}</span>` : ""}</button>`)}</div></div>
    <div class="scroll">${h(Body, { list: { ...list, rows }, picked, pick, sort, filtered: Boolean(status || prefix || chips(query).length) })}</div></main>`;
}

/** @param {{list: any, picked: string[], pick: (id: string) => void, sort: string, filtered: boolean}} properties */
function Body({ list, picked, pick, sort, filtered }) {
  const small = useSmall();
  if (list.error) return h(Failure, { error: list.error, retry: list.retry });
  if (!list.ready) return h(Skeleton, { lines: 10 });
  if (!list.rows.length && filtered) return h(Empty, { icon: "layers", title: "Nothing matches these filters." }, html`<a class="link" href="/jobs">Clear filters</a>`);
  if (!list.rows.length) return h(Empty, { icon: "layers", title: "No jobs yet. A job appears when an asset names one." });
  const columns = [
    { name: "Job", cell: (/** @type {Job} */ job) => h(Named, { job, small }) },
    { name: "Status", cell: (/** @type {Job} */ job) => html`${h(Status, { status: job.status })}${small && job.preview?.length ? h(Pictures, { job }) : ""}` },
    { name: "Workflow", opt: true, cell: (/** @type {Job} */ job) => job.workflow_id && html`<a class="link" href=${`/workflows/${part(job.workflow_id)}`}><bdi>${visible(job.workflow_id)}</bdi></a>` },
    { name: "Pictures", opt: true, cell: (/** @type {Job} */ job) => !small && h(Pictures, { job }) },
    { name: "Assets", n: true, opt: true, sort: "-assets", cell: (/** @type {Job} */ job) => count(job.assets) },
    { name: "Bytes", n: true, opt: true, sort: "-bytes", cell: (/** @type {Job} */ job) => bytes(job.bytes) },
    { name: "Duration", n: true, opt: true, sort: "-duration", cell: length },
    { name: "Started", n: true, opt: true, cell: (/** @type {Job} */ job) => job.started_at && h(Time, { at: job.started_at, form: "ago" }) },
    { name: "Compare", n: true, opt: true, cell: (/** @type {Job} */ job) => html`<input type="checkbox" aria-label=${`Compare ${visible(job.job_id)}`} checked=${picked.includes(job.job_id)} onChange=${() => pick(job.job_id)} />` },
  ];
  return h(Table, { columns, rows: list.rows, keyOf: (job) => job.job_id, sorted: sort, sort: (key) => setQuery({ sort: key === sort ? null : key }), more: list.more, label: "Jobs" });
}

/** How long a job ran. @param {Job} job */
const length = (job) => (job.started_at && (job.finished_at || job.status === "running") ? duration(spent(job)) : "");

/** @param {{job: Job, small: boolean}} properties on a phone the numbers stand below the name */
function Named({ job, small }) {
  return html`<a class="strong" href=${`/jobs/${part(job.job_id)}`}><bdi>${visible(job.job_id)}</bdi></a>
    ${
      small &&
      html`<span class="sub2 quiet num">${[counted(job.assets, "asset"), bytes(job.bytes), length(job)].filter(Boolean).join(" · ")}</span>
      ${job.started_at && html`<span class="sub2 quiet">${h(Time, { at: job.started_at, form: "ago" })}</span>`}`
    }
    ${job.error && html`<span class="sub2" title=${visible(job.error)}>${visible(job.error.split("\n", 1)[0])}</span>`}`;
}

/** Its newest four pictures. @param {{job: Job}} properties */
function Pictures({ job }) {
  return html`<div class="thumbs">${job.preview?.map((url) => h(Face, { key: url, asset: /** @type {any} */ ({ id: url, version: 1, thumb_url: url, content_type: "image/" }), width: 42, plain: true }))}</div>`;
}

/** What events changed since the list was loaded: the newest jobs as they are now, asked for twice a second at most,
 * and how many started or ended. @param {import("../core/api.js").Params} params @param {number} turn */
function useNews(params, turn) {
  const none = { jobs: /** @type {Job[]} */ ([]), counts: undefined, changed: 0 };
  const [news, setNews] = useState(none);
  useEffect(() => {
    setNews(none);
    const abort = new AbortController();
    const changed = new Set();
    let due = 0;
    const ask = () => {
      due = 0;
      get("/api/jobs", params, { signal: abort.signal }).then(
        (now) => setNews({ ...now, changed: changed.size }),
        () => {},
      );
    };
    const stop = onEvents((events) => {
      for (const { topic, job_id } of events ?? []) if (topic.startsWith("job.")) changed.add(job_id);
      if (!events || events.some((event) => event.job_id)) due ||= setTimeout(ask, 500);
    });
    return () => {
      stop();
      clearTimeout(due);
      abort.abort();
    };
  }, [JSON.stringify(params), turn]);
  return news;
}
