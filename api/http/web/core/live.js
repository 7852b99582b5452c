// New events as they are recorded, and which assets they changed. The tabs of one user share one
// stream, since HTTP/1.1 gives an origin six connections: the visible tab that holds a lock reads it,
// and tells the others. It is resumed by position; a tab that missed events asks for them.
// A caller without the scope "read" gets a tick every ten seconds instead.
import { answered, get, offlineSince, oldest, parts, send } from "./api.js";
import { signal } from "./html.js";
import { can, session } from "./session.js";

/** "live", "polling", "lost" or "off". */
export const liveState = signal("off");
/** Position of the newest event that this page saw; -1 before it followed the ledger. */
export const head = signal(-1);

/** @typedef {{state?: string, head?: number, event?: LedgerEvent, ask?: boolean}} Word what one tab tells the others:
 * the state of the stream, the position before an event and the event, or the question which tab reads */

/** @type {Set<(events: LedgerEvent[] | null) => void>} */
const listeners = new Set();
let controller = new AbortController();
let leads = false;
/** @type {BroadcastChannel | null} */
let channel = null;

/** Call `listener` with the new events; with null where only the passing of time is known.
 * @param {(events: LedgerEvent[] | null) => void} listener @returns {() => void} ends it */
export function onEvents(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @param {LedgerEvent[] | null} all */
function publish(all) {
  const events = all?.filter((event) => event.position > head.value) ?? null;
  if (events?.length === 0) return;
  head.value = events?.at(-1)?.position ?? head.value;
  for (const listener of [...listeners]) listener(events);
}

/** Follow the ledger from the oldest answer on, which what is shown may reflect. @param {number} newest its last position */
const begin = (newest) => void (head.value = Math.max(Math.min(oldest.position, newest), newest - 1000));

/** @param {number} ms @param {AbortSignal} [signal] ends it before */
function wait(ms, signal) {
  return new Promise((done) => {
    setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** Follow the ledger until the page ends. */
export async function follow() {
  document.addEventListener("visibilitychange", () => document.hidden && controller.abort());
  session.subscribe((now) => now || controller.abort());
  for (;;) {
    if (document.hidden || !session.value) {
      liveState.value = "off";
      await wait(500);
    } else if (!can("read")) {
      liveState.value = "polling";
      await wait(10_000);
      publish(null);
    } else {
      controller = new AbortController();
      await take(`asset-ledger ${session.value.user_id}`).catch(() => {});
    }
  }
}

/** Lead the tabs of a user, as soon as no other does, until this tab is hidden. @param {string} name */
async function take(name) {
  if (channel?.name !== name) listen(name);
  tell({ ask: true });
  const { signal } = controller;
  // without locks, which plain http from afar lacks, each tab reads for itself
  if (navigator.locks) await navigator.locks.request(name, { signal }, () => lead(signal));
  else await lead(signal);
}

/** @param {Word} word */
const tell = (word) => channel?.postMessage(word);

/** @param {string} state */
function be(state) {
  liveState.value = state;
  tell({ state, head: head.value });
}

/** Listen to the tab that leads. @param {string} name */
function listen(name) {
  channel?.close();
  channel = new BroadcastChannel(name);
  channel.onmessage = async ({ data }) => {
    const { state, head: before, event, ask } = /** @type {Word} */ (data);
    if (ask && leads) be(liveState.value);
    if (leads) return;
    if (state) {
      liveState.value = document.hidden ? "off" : state;
      if (state === "live") answered();
    }
    if (before !== undefined && before > head.value) {
      if (head.value < 0) begin(before);
      await catchUp(before).catch(() => {});
    }
    if (event) publish([event]);
  };
}

/** Ask for the events that this tab missed. @param {number} to the last of them */
async function catchUp(to) {
  while (head.value < to) {
    const { events } = await get("/api/events", { after: head.value, limit: 1000 });
    if (!events.length) break;
    publish(events);
  }
  head.value = Math.max(head.value, to);
}

/** How many events of this user were recorded after a position; 1,000 also for more. @param {number} after */
export async function eventsAfter(after) {
  for (let n = 0; ; ) {
    const { events, next } = await get("/api/events", { after, limit: 1000 });
    n += events.length;
    if (n >= 1000 || next === after) return n;
    after = next;
  }
}

/** Read the stream, again after each loss, until the signal. @param {AbortSignal} signal */
async function lead(signal) {
  leads = true;
  for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 30_000)) {
    if (await once(signal)) pause = 500;
    if (signal.aborted) break;
    be("lost");
    await wait(pause, signal);
    while (offlineSince.value && !signal.aborted) await wait(200, signal); // `reconnect` asks
  }
  leads = false;
}

/** Read one stream until it ends; return whether anything came. @param {AbortSignal} signal */
async function once(signal) {
  let came = false;
  try {
    if (head.value < 0) begin(await newest(signal));
    const headers = { "Last-Event-ID": String(head.value) };
    const response = await send("/api/events/stream", { headers, signal });
    be("live");
    for await (const block of parts(response, /\r?\n\r?\n/)) {
      came = true;
      const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      if (!data.length) continue;
      const event = JSON.parse(data.map((line) => line.slice(5)).join("\n"));
      tell({ head: head.value, event });
      publish([event]);
    }
  } catch {
    // a lost stream is opened again from the last position
  }
  return came;
}

/** The position of the newest event. @param {AbortSignal} signal */
async function newest(signal) {
  const response = await send("/api/events?order=desc&limit=1", { signal });
  return Number(response.headers.get("Ledger-Position"));
}

/** Grows with each deletion, restoration and upload of this page: lists then load anew. */
export const reloads = signal(0);

/** @typedef {(ids: Set<string>, gone: Set<string>) => void} Listener gone: those that were deleted */

const watchers = new Set();
let waiting = new Set();
let deleted = new Set();
let pending = 0;

/** Call `listener` with the ids of assets that were changed.
 * @param {Listener} listener @returns {() => void} ends it */
export function onChange(listener) {
  watchers.add(listener);
  return () => void watchers.delete(listener);
}

/** Say that assets were changed. @param {Iterable<string>} ids @param {Iterable<string>} [gone] those that were deleted */
export function touched(ids, gone = []) {
  const [changed, dead] = [new Set(ids), new Set(gone)];
  for (const listener of [...watchers]) listener(changed, dead);
}

onEvents((events) => {
  for (const event of events ?? []) {
    if (!event.asset_id) continue;
    waiting.add(event.asset_id);
    if (event.topic === "asset.deleted") deleted.add(event.asset_id);
    else deleted.delete(event.asset_id);
  }
  if (!waiting.size || pending) return;
  pending = setTimeout(() => {
    const [changed, gone] = [waiting, deleted];
    waiting = new Set();
    deleted = new Set();
    pending = 0;
    touched(changed, gone);
  }, 300);
});
