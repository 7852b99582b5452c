// Uploads: three at once, each with a key of its own, so that a retry records nothing twice.
// A busy server and a lost connection are tried again by themselves; a refusal is shown.
import { address, ApiError, write } from "./api.js";
import { signal } from "./html.js";
import { reloads } from "./live.js";

const AT_ONCE = 3;
const DIGEST_LIMIT = 256_000_000; // bytes that are hashed before they are sent
const TRY_AGAIN = new Set([0, 429, 502, 503, 504]);

/** @typedef {{node_id?: string, job_id?: string, workflow_id?: string, tags?: string[], parent_id?: string}} Fields */
/** @typedef {"waiting" | "sending" | "pausing" | "done" | "failed"} State */
/** @typedef {{id: number, file: File, fields: Fields, key: string, state: State, sent: number, error: Error | null,
 *   tries: number, request: XMLHttpRequest | null}} Item */

/** Every file since the dialog was opened. @type {Item[]} */
export let items = [];
/** Changes, at most once a frame, with any item. */
export const ticks = signal(0);
export const paused = signal(false);

let last = 0;
let due = false;
/** @type {{at: number, bytes: number}[]} */
let samples = [];

function changed() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    ticks.value += 1;
  });
}

/** Start to upload files. @param {File[]} files @param {Fields} fields */
export function upload(files, fields) {
  for (const file of files) {
    const key = `console-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
    items.push({ id: ++last, file, fields, key, state: "waiting", sent: 0, error: null, tries: 0, request: null });
  }
  next();
}

/** Forget what is done. */
export function clearDone() {
  items = items.filter((item) => item.state !== "done");
  samples = [];
  changed();
}

/** @param {Item} item */
export function cancel(item) {
  items = items.filter((other) => other !== item);
  item.request?.abort();
  next();
}

/** @param {Item} item */
export function tryAgain(item) {
  Object.assign(item, { state: "waiting", error: null, tries: 0 });
  next();
}

/** Stop after the files under way, or go on. */
export function pause() {
  paused.value = !paused.value;
  next();
}

function next() {
  changed();
  const busy = items.filter((item) => item.state === "sending" || item.state === "pausing").length;
  if (paused.value) return;
  for (const item of items.filter((one) => one.state === "waiting").slice(0, Math.max(0, AT_ONCE - busy))) {
    item.state = "sending";
    send(item);
  }
  if (items.length && items.every((item) => item.state === "done" || item.state === "failed")) reloads.value += 1;
}

/** @param {Item} item */
async function send(item) {
  const answer = await attempt(item).catch(() => ({ status: -1, text: "", id: "", after: 0 }));
  item.request = null;
  if (!items.includes(item)) return;
  if (answer.status >= 200 && answer.status < 300) Object.assign(item, { state: "done", sent: item.file.size });
  else if (TRY_AGAIN.has(answer.status)) again(item, answer.after);
  else Object.assign(item, { state: "failed", error: refusal(answer) });
  next();
}

/** @param {Item} item @param {number} after seconds that the server named */
function again(item, after) {
  const pause = Math.max(after, Math.min(30, 2 ** item.tries)) * 1000;
  Object.assign(item, { state: "pausing", tries: item.tries + 1, sent: 0 });
  setTimeout(() => {
    if (item.state !== "pausing") return;
    item.state = "waiting";
    next();
  }, pause);
}

/** @param {Answer} answer */
function refusal({ status, text, id }) {
  if (status < 0) return new Error("The file cannot be read. It may have been changed or removed.");
  try {
    return new ApiError(status, JSON.parse(text), id);
  } catch {
    return new ApiError(status, {}, id);
  }
}

/** @typedef {{status: number, text: string, id: string | null, after: number}} Answer
 * status 0: no connection; -1: no file; id: of the request; after: seconds of Retry-After */

/** @param {Item} item @returns {Promise<Answer>} */
async function attempt(item) {
  const digest = await digestOf(item.file);
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    item.request = request;
    request.open("POST", address("/api/assets/content", { name: item.file.name, ...item.fields }));
    request.setRequestHeader("Content-Type", item.file.type || "application/octet-stream");
    request.setRequestHeader("Idempotency-Key", item.key);
    if (digest) request.setRequestHeader("Repr-Digest", `sha-256=:${digest}:`);
    request.upload.onprogress = (event) => {
      item.sent = event.loaded;
      changed();
    };
    request.onloadend = () => done({ status: request.status, text: request.responseText, id: request.getResponseHeader("X-Request-Id"), after: Number(request.getResponseHeader("Retry-After")) || 0 });
    request.send(item.file);
  });
}

/** @param {File} file @returns {Promise<string>} base64, or "" where it is not computed */
async function digestOf(file) {
  if (file.size > DIGEST_LIMIT || !globalThis.crypto.subtle) return "";
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return btoa(String.fromCharCode(...new Uint8Array(hash)));
}

/** How far all uploads are; `rate` in bytes a second, `left` in milliseconds or null. */
export function progress() {
  const total = items.reduce((n, item) => n + item.file.size, 0);
  const sent = items.reduce((n, item) => n + item.sent, 0);
  const now = performance.now();
  samples = [...samples.filter((sample) => now - sample.at < 4000), { at: now, bytes: sent }];
  const seconds = (now - samples[0].at) / 1000;
  const rate = seconds > 0.3 ? Math.max(0, sent - samples[0].bytes) / seconds : 0;
  const done = items.filter((item) => item.state === "done").length;
  const failed = items.filter((item) => item.state === "failed").length;
  return { total, sent, done, failed, count: items.length, active: done + failed < items.length, rate, left: rate > 0 ? ((total - sent) / rate) * 1000 : null };
}

/** The files of a drop, with folders made first. @param {FileSystemEntry[]} entries @param {File[]} files
 * where a browser has no entries @param {string} parent the folder to put them in
 * @returns {Promise<{files: File[], parent_id: string}[]>} */
export async function dropped(entries, files, parent) {
  if (!entries.length) return [{ files, parent_id: parent }];
  /** @type {{files: File[], parent_id: string}[]} */
  const found = [];
  await collect(entries, parent, found);
  return found.filter((group) => group.files.length);
}

/** @param {FileSystemEntry[]} entries @param {string} parent @param {{files: File[], parent_id: string}[]} found */
async function collect(entries, parent, found) {
  const group = { files: /** @type {File[]} */ ([]), parent_id: parent };
  found.push(group);
  for (const entry of entries) {
    if (entry.isFile) group.files.push(await new Promise((done, fail) => /** @type {FileSystemFileEntry} */ (entry).file(done, fail)));
    else {
      const made = await write("POST", "/api/assets", { name: entry.name, content_type: "folder", ...(parent ? { parent_id: parent } : {}) });
      await collect(await children(/** @type {FileSystemDirectoryEntry} */ (entry)), made.id, found);
    }
  }
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<FileSystemEntry[]>} */
async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((/** @type {(entries: FileSystemEntry[]) => void} */ done, fail) => reader.readEntries(done, fail));
    if (!some.length) return all;
    all.push(...some);
  }
}
