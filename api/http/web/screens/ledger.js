// The ledger itself: its tree and checkpoint, the tables and their rebuild, the events as they come.
import { get, send, write } from "../core/api.js";
import { bytes, count, counted, duration, short, time } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { head, liveState, onEvents } from "../core/live.js";
import { ProofError } from "../core/proof.js";
import { changed, place, setQuery } from "../core/route.js";
import { can } from "../core/session.js";
import { trust } from "../core/trust.js";
import { Announced, Copy, Curl, Failure, Icon, IconButton, Skeleton, useTitle } from "../parts/basic.js";
import { columnsOf } from "../parts/history.js";
import { Confirm, show, toastError } from "../parts/over.js";
import { Table } from "../parts/table.js";

export function Screen() {
  useTitle("Ledger");
  return html`<main class="main" id="main"><div class="pagehead"><h1>Ledger</h1></div><div class="scroll">
    <div class="cards">${can("audit") && h(Tree, {})}${can("admin") && h(Tables, {})}${h(Server, {})}${can("admin") && h(Hooks, {})}</div>
    ${h(Events, {})}</div></main>`;
}

/** Ask now, and again after `ms`; errors are kept. @template T @param {() => Promise<T>} ask @param {number} ms
 * @returns {{value: T | null, error: unknown, again: () => void}} */
function useAsked(ask, ms) {
  const [state, setState] = useState(/** @type {{value: T | null, error: unknown}} */ ({ value: null, error: null }));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let left = false;
    const once = () =>
      ask().then(
        (value) => left || setState({ value, error: null }),
        (error) => left || setState((old) => ({ ...old, error })),
      );
    once();
    const timer = ms ? setInterval(() => document.hidden || once(), ms) : 0;
    return () => {
      left = true;
      clearInterval(timer);
    };
  }, [turn, ms]);
  return { ...state, again: () => setTurn(turn + 1) };
}

/** The newest checkpoint with the rotations up to it: the proof of the newest event. */
async function checkNow() {
  const [note, keys] = await Promise.all([send("/api/log/checkpoint").then((response) => response.text()), get("/api/log/key")]);
  const size = Number(note.split("\n")[1]);
  const { key } = keys.keys.filter((/** @type {any} */ each) => each.since <= size).at(-1) ?? keys.keys[0];
  const rotations = keys.keys.slice(1).map((/** @type {any} */ each) => ({ position: each.since, leaf: each.leaf, path: null }));
  return { checked: await trust({ format: "asset-ledger-proof/1", checkpoint: note, key, rotations, events: [] }), note };
}

function Tree() {
  const { value, error, again } = useAsked(checkNow, 0);
  return html`<section class="box"><h2>${h(Icon, { name: "stamp" })}Tree<span class="end">${h(Curl, { path: "/api/log/checkpoint" })}${h(IconButton, { icon: "rotate-ccw", label: "Check again", act: again })}</span></h2>
    ${
      error instanceof ProofError
        ? html`<p class="okline bad">${h(Icon, { name: "shield-alert", small: true })}${error.message}</p>`
        : error
          ? h(Failure, { error, retry: again })
          : !value
            ? h(Skeleton, { lines: 3 })
            : html`
    <p class="big num">${counted(Math.max(value.checked.size, head.value), "event")}</p>
    <p class="okline">${h(Icon, { name: "shield-check", small: true })}${value.checked.grew ? `${value.checked.grew.size === value.checked.size ? "unchanged" : `grew from ${count(value.checked.grew.size)}`}, seen ${time(value.checked.grew.seen)}` : "signature holds; kept by this browser from now on"}</p>
    <dl class="details"><dt>Root</dt><dd><span class="mono">${short(value.checked.root)}</span>${h(Copy, { text: value.checked.root, label: "Copy the root" })}</dd>
      <dt>Key</dt><dd><span class="mono">${short(value.checked.key.split("+").slice(1).join("+"))}</span>${h(Copy, { text: value.checked.key, label: "Copy the key" })}</dd>
      <dt>Checkpoint</dt><dd>of ${counted(value.checked.size, "event")}${h(Copy, { text: value.note, label: "Copy the checkpoint" })}</dd></dl>`
    }</section>`;
}

function Tables() {
  const [fast, setFast] = useState(false);
  const { value, error, again } = useAsked(
    async () => {
      const state = await get("/api/projections");
      setFast(Boolean(state.building));
      return state;
    },
    fast ? 500 : 3000,
  );
  /** @type {(what: string, body: any) => Promise<void>} */
  const act = (/** @type {string} */ what, /** @type {any} */ body) => write("POST", `/api/projections/${what}`, body).then(again, (failed) => toastError(failed, () => act(what, body)));
  const rebuild = (/** @type {boolean} */ dry) =>
    show(Confirm, { title: dry ? "Compare the tables with the events?" : "Make the tables anew?", action: dry ? "Compare" : "Rebuild", act: () => act("rebuild", { dry_run: dry }), children: html`<p>They are made from ${counted(head.value || value.serving.position, "event")}. Reads and writes go on.</p>` });
  if (error && !value) return html`<section class="box"><h2>Tables</h2>${h(Failure, { error, retry: again })}</section>`;
  if (!value) return html`<section class="box"><h2>Tables</h2>${h(Skeleton, { lines: 3 })}</section>`;
  const { serving, building, previous, last } = value;
  return html`<section class="box"><h2>${h(Icon, { name: "table-2" })}Tables<span class="end num">${serving.state}, ${counted(serving.lag, "event")} behind${h(Curl, { path: "/api/projections" })}</span></h2>
    <p class="big num">generation ${count(serving.generation)}</p>
    ${serving.error && html`<p class="okline bad">${h(Icon, { name: "triangle-alert", small: true })}${serving.error}</p>`}
    <dl class="details">${Object.entries(serving.rows).map(([name, n]) => html`<dt key=${name}>${name}</dt><dd class="num">${counted(n, "row")}</dd>`)}</dl>
    ${building && h(Building, { building })}
    ${!building && last && html`<p class=${last.error ? "okline bad" : "okline"}>${h(Icon, { name: last.error ? "circle-x" : "circle-check", small: true })}${ended(last)}</p>`}
    <div class="acts">${
      building
        ? html`<button class="btn" onClick=${() => act("cancel", {})}>Cancel</button>`
        : html`
      <button class="btn" onClick=${() => rebuild(false)}>Rebuild</button><button class="btn" onClick=${() => rebuild(true)}>Dry run</button>
      ${previous?.usable && html`<button class="btn" onClick=${() => act("rollback", {})}>Back to ${count(previous.generation)}</button>`}`
    }</div></section>`;
}

/** @param {any} last */
function ended(last) {
  if (last.error) return `Failed: ${last.error}`;
  const rows = last.differences === null || last.differences === undefined ? "" : `, ${counted(last.differences, "row")} differed`;
  return { switched: `Rebuilt${rows}`, discarded: `Compared${rows}`, cancelled: "Cancelled" }[/** @type {"switched"} */ (last.result)] ?? last.result;
}

/** A rebuild as it goes. @param {{building: any}} properties */
function Building({ building }) {
  const part = building.target ? Math.min(1, building.position / building.target) : 0;
  const seconds = (Date.now() - Date.parse(building.started_at)) / 1000;
  const speed = seconds > 0.5 ? `, ${count(Math.round(building.position / seconds))} events a second` : "";
  return html`<div class="build num">${h(Announced, { text: building.state })}${building.state}: ${count(building.position)} of ${count(building.target)}${speed}<span class="meter"><i style=${{ width: `${part * 100}%` }}></i></span></div>`;
}

function Server() {
  const { value, error, again } = useAsked(fetchReady, 5000);
  const { value: slowest } = useAsked(commitTime, 15_000);
  if (!value) return html`<section class="box"><h2>Server</h2>${error ? h(Failure, { error, retry: again }) : h(Skeleton, { lines: 3 })}</section>`;
  const disk = value.parts.find((/** @type {any} */ part) => part.free_bytes !== undefined);
  return html`<section class="box"><h2>${h(Icon, { name: "server" })}Server<span class="end">${h(Curl, { path: "/readyz" })}</span></h2><p class="big">${value.ready ? "Ready" : "Not ready"}</p>
    <dl class="details">${disk && html`<dt>Disk</dt><dd class="num">${bytes(disk.free_bytes)} free</dd>`}
      ${value.parts.filter((/** @type {any} */ part) => part !== disk).map((/** @type {any} */ part) => html`<dt class="cut" key=${part.name} title=${part.name}>${part.name.replace("projection ", "")}</dt><dd class="num">${part.ok ? "ok" : html`<span class="bad">${part.damaged > 0 && `${count(part.damaged)} damaged: `}${part.reason}</span>`}${part.waiting !== undefined && `, ${count(part.waiting)} waiting`}${part.lag > 0 && `, ${count(part.lag)} behind`}</dd>`)}
      ${slowest && html`<dt title="99 % of the commits since the start took no longer">Commit p99</dt><dd class="num">${slowest < Infinity ? `up to ${duration(slowest)}` : "over 10 s"}</dd>`}</dl></section>`;
}

/** What is sent to other programs; nothing without a webhook. */
function Hooks() {
  const { value, error, again } = useAsked(() => get("/api/hooks"), 5000);
  if (!value && error) return html`<section class="box"><h2>Webhooks</h2>${h(Failure, { error, retry: again })}</section>`;
  if (!value?.hooks.length) return null;
  return html`<section class="box"><h2>Webhooks<span class="end">${h(Curl, { path: "/api/hooks" })}</span></h2><dl class="details">${value.hooks.map((/** @type {any} */ hook) => html`<dt class="cut" key=${hook.id} title=${hook.id}>${hook.url}</dt><dd class="num">${hook.status === "live" ? "live" : html`<span class="bad">${hook.status}: ${hook.error}</span>`}${hook.lag > 0 && `, ${count(hook.lag)} behind`}</dd>`)}</dl></section>`;
}

/** Milliseconds within which 99 % of the commits since the start ended: an upper bound of the histogram. */
async function commitTime() {
  const text = await (await send("/metrics")).text();
  const buckets = [...text.matchAll(/^asset_ledger_commit_seconds_bucket\{le="([^"]+)"\} (\S+)/gm)].map(([, le, n]) => [Number(le.replace("+Inf", "Infinity")) * 1000, Number(n)]);
  const all = buckets.at(-1)?.[1] ?? 0;
  return buckets.find(([, n]) => all && n >= 0.99 * all)?.[0] ?? null;
}

/** The state of the parts, also when the server says that it is not ready. */
async function fetchReady() {
  try {
    return await get("/readyz");
  } catch (error) {
    const problem = /** @type {any} */ (error).problem;
    if (problem?.parts) return problem;
    throw error;
  }
}

const KEPT = 500;

/** The newest events first, live until paused. */
function Events() {
  const [events, setEvents] = useState(/** @type {LedgerEvent[]} */ ([]));
  const topic = place.value.query.get("topic") ?? "";
  const paused = place.value.query.has("paused");
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let left = false;
    const abort = new AbortController();
    setError(null);
    load(topic, abort.signal).then(
      (found) => left || setEvents(found),
      (failed) => left || setError(failed),
    );
    const stop = onEvents((news) => {
      const wanted = (news ?? []).filter((event) => !topic || event.topic === topic);
      if (!paused && wanted.length) setEvents((old) => [...wanted.filter((event) => event.position > (old[0]?.position ?? 0)).reverse(), ...old].slice(0, KEPT));
    });
    return () => {
      left = true;
      abort.abort();
      stop();
    };
  }, [topic, paused, turn]);
  return html`<div class="pagehead"><h2>Events</h2>${topic && html`<span class="chip"><span class="k">topic</span>${topic}<button aria-label="Remove the filter" onClick=${() => setQuery({ topic: null })}>${h(Icon, { name: "x", small: true })}</button></span>`}
      <span class="okline quiet">${!paused && liveState.value === "live" ? html`<span class="dot live"></span> live` : "paused"}</span>
      <button class="btn small" onClick=${() => setQuery({ paused: paused ? null : "1" }, { replace: true })}>${h(Icon, { name: paused ? "play" : "pause", small: true })}${paused ? "Go on" : "Pause"}</button>${h(Curl, { path: "/api/events", params: asked(topic) })}</div>
    ${error && h(Failure, { error, retry: () => setTurn(turn + 1) })}
    ${h(Table, { columns: columnsOf(named, topicLink), rows: events, keyOf: (event) => event.position, label: "Newest events", tight: true })}`;
}

const named = (/** @type {LedgerEvent} */ event) => event.data.name ?? short(event.asset_id ?? "");
const topicLink = (/** @type {string} */ topic) => html`<a class="link" title="Only events of this topic" href=${changed({ topic })}>${topic}</a>`;

/** What is asked for the newest events. @param {string} topic */
const asked = (topic) => ({ order: "desc", limit: 100, topic, all: can("admin") || undefined });

/** @param {string} topic @param {AbortSignal} signal */
async function load(topic, signal) {
  const answer = await get("/api/events", asked(topic), { signal });
  return answer.events;
}
