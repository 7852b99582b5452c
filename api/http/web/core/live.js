// New events as they are recorded, and which assets they changed: one stream a tab, open only while the tab is visible, resumed by
// position. A caller without the scope "audit" gets a tick every ten seconds instead.
import { address, offlineSince, send } from "./api.js";
import { signal } from "./html.js";
import { can, session } from "./session.js";

/** "live", "polling", "lost" or "off". */
export const liveState = signal("off");
/** Position of the newest event that this page saw. */
export const head = signal(0);

const listeners = new Set();
let controller = new AbortController();

/** Call `listener` with the new events; with null where only the passing of time is known.
 * @param {(events: LedgerEvent[] | null) => void} listener @returns {() => void} ends it */
export function onEvents(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @param {LedgerEvent[] | null} events */
function publish(events) {
  for (const listener of [...listeners]) listener(events);
}

const wait = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

/** Follow the ledger until the page ends. */
export async function follow() {
  document.addEventListener("visibilitychange", () => document.hidden && controller.abort());
  for (let pause = 1000; ; ) {
    if (document.hidden || !session.value) {
      liveState.value = "off";
      await wait(500);
    } else if (!can("audit")) {
      liveState.value = "polling";
      await wait(10_000);
      publish(null);
    } else if (await once()) {
      pause = 1000;
    } else {
      liveState.value = document.hidden ? "off" : "lost";
      await wait(pause);
      pause = Math.min(pause * 2, 30_000);
    }
  }
}

/** Read one stream until it ends; return whether anything came. */
async function once() {
  controller = new AbortController();
  let came = false;
  try {
    const headers = head.value ? { "Last-Event-ID": String(head.value) } : undefined;
    const response = await send(address("/api/events/stream"), { headers, signal: controller.signal });
    liveState.value = "live";
    offlineSince.value = 0;
    for await (const message of messages(response)) {
      came = true;
      if (message.id) head.value = Math.max(head.value, Number(message.id));
      if (message.data) publish([JSON.parse(message.data)]);
    }
  } catch {
    // a lost stream is opened again from the last position
  }
  return came;
}

/** Yield the messages of a text/event-stream. @param {Response} response */
export async function* messages(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = /** @type {string} */ (blocks.pop());
    for (const block of blocks) yield parse(block);
  }
}

/** @param {string} block */
function parse(block) {
  const message = { id: "", event: "", data: "" };
  for (const line of block.split(/\r?\n/)) {
    const cut = line.indexOf(":");
    if (cut < 1) continue;
    const name = line.slice(0, cut);
    const value = line.slice(cut + 1).replace(/^ /, "");
    if (name === "data") message.data += (message.data && "\n") + value;
    else if (name === "id" || name === "event") message[name] = value;
  }
  return message;
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
