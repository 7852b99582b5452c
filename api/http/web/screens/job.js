// One job: its numbers and proof, and the tabs Replay, Assets, Lineage, Events, Parameters, Compare.
import { address, part } from "../core/api.js";
import { bytes, count, counted, duration, visible } from "../core/format.js";
import { h, html } from "../core/html.js";
import { PROVEN, useJob } from "../core/job.js";
import { useKeys } from "../core/keys.js";
import { ProofError } from "../core/proof.js";
import { back, changed, place, setQuery } from "../core/route.js";
import { Announced, Curl, Failure, Icon, lazy, Page, Skeleton, Status, tens, useTitle } from "../parts/basic.js";
import { Menu, show } from "../parts/over.js";
import { ProofDialog, useProof } from "../parts/seal.js";

/** @typedef {import("../core/job.js").LiveJob} LiveJob */
/** @typedef {import("../parts/seal.js").Verdict} Verdict */

/** @typedef {{live: LiveJob, verdict: Verdict}} TabProperties */
/** @typedef {{id: string, name: string, n?: (live: LiveJob) => number | undefined, asks?: string, View: (properties: TabProperties) => any}} Tab
 * n: a number in it; asks: what it shows of the job, where it does not offer its request itself */

const data = () => import("./job-data.js");
const Beside = lazy(
  async () => (await import("../parts/gallery.js")).Beside,
  () => null,
);
/** @type {Verdict} */
const LONG = { state: "unchecked", why: `Above ${count(PROVEN)} events the audit bundle has the proof.` };

/** @type {Tab[]} */
const TABS = [
  { id: "replay", name: "Replay", asks: "/history", View: lazy(async () => (await import("./replay.js")).Replayed) },
  { id: "assets", name: "Assets", n: (live) => live.job.value?.assets, View: lazy(async () => (await data()).JobAssets) },
  { id: "lineage", name: "Lineage", asks: "/history", View: lazy(async () => (await import("../previews/nodes.js")).JobLineage) },
  { id: "events", name: "Events", n: (live) => live.replay.value?.events.length, asks: "/history", View: lazy(async () => (await data()).JobEvents) },
  { id: "parameters", name: "Parameters", asks: "", View: lazy(async () => (await data()).Parameters) },
  { id: "compare", name: "Compare", View: lazy(async () => (await import("./compare.js")).Compare) },
];

/** @param {{id: string}} properties */
export function Screen({ id }) {
  const attempt = place.value.query.get("attempt") ?? "";
  const live = useJob(id, attempt);
  const tab = TABS.find((each) => each.id === (place.value.query.get("tab") ?? "replay")) ?? TABS[0];
  useTitle(`${visible(id)} · Jobs`);
  useKeys({ Escape: () => back("/jobs") });
  const { job, replay } = live;
  const events = (live.changes.value, replay.value?.events.length ?? 0);
  const finished = job.value?.status !== "running";
  const wide = events > PROVEN;
  const provable = live.whole.value && !wide && finished;
  const [verdict, again] = useProof(provable ? address(`${live.path}/proof`, { attempt }) : "", [finished ? events : 0], (checked) => complete(live, checked));
  if (live.error.value) return h(Page, { title: visible(id) }, h(Failure, { error: live.error.value, retry: () => live.load() }));
  if (!job.value || !replay.value) return h(Page, { title: visible(id) }, h(Skeleton, { lines: 8 }));
  return html`<main class="main" id="main">${h(Head, { job: job.value, live, tab, verdict: wide ? LONG : verdict, again, events })}
    ${!live.whole.value && html`<p class="part num">${h(Announced, { text: "Reading the history" })}Reading the history: ${counted(events, "event")} so far.</p>`}
    ${h(tab.View, { live, verdict, key: `${id} ${attempt} ${tab.id}` })}</main>${tab.id === "assets" && h(Beside, {})}`;
}

/** Every event that is shown is proven, and none is missing. @param {LiveJob} live @param {import("../core/trust.js").Trusted} checked */
function complete(live, checked) {
  const positions = new Set(checked.events.map((event) => event.position));
  const missing = live.replay.value?.events.find((event) => event.position <= checked.size && !positions.has(event.position));
  if (missing) throw new ProofError("completeness", `event ${missing.position} is shown, but not proven`);
  if (live.attempt) return; // the numbers of its events go over all attempts
  checked.events.forEach((event, k) => {
    if (event.state.job_seq !== k + 1) throw new ProofError("completeness", `event ${k + 1} of the job is missing from the proof`);
  });
}

/** @param {{job: Job, live: LiveJob, tab: any, verdict: any, again: () => void, events: number}} properties */
function Head({ job, live, tab, verdict, again, events }) {
  const bundle = () => show(ProofDialog, { job, verdict, again });
  const shown = job.attempts.find(({ attempt }) => String(attempt) === live.attempt) ?? job;
  return html`<div class="head">
    <div class="crumb"><a href="/jobs">Jobs</a>${job.workflow_id && html`${h(Icon, { name: "chevron-right", small: true })}<a class="cut" href=${`/workflows/${part(job.workflow_id)}`}><bdi>${visible(job.workflow_id)}</bdi></a>`}</div>
    <div class="title"><a class="btn bare icon only-small" href="/jobs" aria-label="Back to jobs">${h(Icon, { name: "chevron-left" })}</a>
      <h1 class="cut" title=${visible(job.job_id)}><bdi>${visible(job.job_id)}</bdi></h1>${h(Status, { status: shown.status })}
      <div class="end">${tab.asks !== undefined && h(Curl, tab.asks ? { path: live.path + tab.asks, params: { attempt: live.attempt }, type: "application/x-ndjson" } : { path: live.path })}
        <a class="btn wide" href=${changed({ tab: "compare", at: null })}>${h(Icon, { name: "git-compare" })}Compare</a>
        <button class="btn wide" onClick=${bundle}>${h(Icon, { name: "package" })}Audit bundle</button></div></div>
    <div class="stats num">${shown.started_at && html`<span><b>${duration(spent(shown))}</b></span>`}
      <span><b>${count(events)}</b> events</span><span><b>${count(job.assets)}</b> assets</span>
      <span class="wide"><b>${bytes(job.bytes)}</b></span><span class="wide">positions <b>${count(job.first_position)}</b> to <b>${count(job.last_position)}</b></span>
      ${job.attempts.length > 1 && h(Attempts, { job, attempt: live.attempt })}${h(Proven, { verdict, events, open: bundle })}</div>
    ${shown.error && html`<a class="wrong cut" href=${changed({ tab: "parameters" })} title=${visible(shown.error)}>${visible(shown.error.split("\n", 1)[0])}</a>`}
    <nav class="tabrow" aria-label="Job">${TABS.map(
      (each) => html`<a key=${each.id} href=${changed({ tab: each.id === "replay" ? null : each.id })} aria-current=${each === tab ? "page" : undefined}>${each.name}
      ${each.n && html`<span class="n num">${count(each.n(live) ?? 0)}</span>`}</a>`,
    )}</nav></div>`;
}

/** Which attempt is shown. @param {{job: Job, attempt: string}} properties */
function Attempts({ job, attempt }) {
  const item = (/** @type {string} */ value, /** @type {string} */ label, end = "") => ({ label, end, checked: attempt === value || undefined, act: () => setQuery({ attempt: value, at: null }) });
  const items = job.attempts.map((each) => item(String(each.attempt), `Attempt ${count(each.attempt)}`, each.status));
  const label = attempt ? `Attempt ${attempt} of ${count(job.attempt)}` : `All ${counted(job.attempts.length, "attempt")}`;
  return h(Menu, { name: "Attempt", kind: "btn bare small num", start: true, label: html`${label}${h(Icon, { name: "chevron-down", small: true })}`, items: [item("", "All attempts"), ...items] });
}

/** Milliseconds from the start to the end, or to now. @param {Job | Attempt} job */
export function spent(job) {
  if (!job.finished_at) tens.value;
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  return Math.max(0, end - Date.parse(job.started_at ?? ""));
}

/** @param {{verdict: any, events: number, open: () => void}} properties */
function Proven({ verdict, events, open }) {
  if (verdict.state === "proven") return html`<button class="proof" onClick=${open}>${h(Icon, { name: "shield-check", small: true })}all ${count(Math.min(events, verdict.checked.events.length))} proven</button>`;
  if (verdict.state === "failed") return html`<button class="proof bad" onClick=${open}>${h(Icon, { name: "shield-alert", small: true })}proof failed</button>`;
  return html`<span class="wide" title=${verdict.why}>${verdict.state === "unchecked" && "not checked"}</span>`;
}
