// The only module that calls fetch. Answers are JSON; a refusal becomes an ApiError with the
// server's own words. A read that a busy server refuses is sent again, as it says; while the server
// does not answer at all, it is asked after 1, 2, 4 ... 30 seconds.
import { signal } from "./html.js";

const TRIES = 3; // how often a refused read is sent again
const LONGEST = 10; // seconds: a longer Retry-After is left to the reader of the page

/** Since when requests fail (milliseconds since 1970), or 0 while the server answers. */
export const offlineSince = signal(0);

/** Grows each time the server answers again after it did not. */
export const returns = signal(0);

/** The answer that was behind the log: its position, and the read to repeat until one is not.
 * @type {import("./html.js").Signal<{position: number, path: string} | null>} */
export const behind = signal(null);

/** The oldest position that an answer reflected. */
export const oldest = { position: Infinity };

/** Grows each time the tables have caught up with the log. */
export const caughtUp = signal(0);

/** True once the server refused our credentials: the page asks for a token and stays as it is. */
export const signedOut = signal(false);

/** Set if the ledger does not continue the one that this browser saw (`trust.js`).
 * @type {import("./html.js").Signal<{seen: any, now: any} | null>} */
export const fork = signal(null);

/** A refusal of the server: a problem document (RFC 9457). */
export class ApiError extends Error {
  /** @param {number} status @param {Record<string, any>} problem @param {string | null} [requestId] */
  constructor(status, problem, requestId) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
    this.slug = String(problem.type || "").replace("urn:asset-ledger:", "");
    this.requestId = problem.request_id || requestId || "";
  }
}

/** The server cannot be reached. */
export class OfflineError extends Error {
  constructor() {
    super("No connection to the server.");
  }
}

/** @typedef {Record<string, string | number | boolean | null | undefined | (string | number)[]>} Params */

/** An id as a part of a path. A browser takes "." and ".." for steps between folders, however they are written; behind
 * U+007F, which no id has, the server takes them for ids. @param {string} id */
export const part = (id) => encodeURIComponent(id.replace(/^\.\.?$/, "\x7f$&"));

/** Return a path with these parameters; absent and empty ones are left out, lists repeat.
 * @param {string} path @param {Params} [params] @param {URLSearchParams} [query] what it has already */
export function address(path, params = {}, query = new URLSearchParams()) {
  for (const [name, value] of Object.entries(params)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined && item !== null && item !== "") query.append(name, String(item));
    }
  }
  return query.size ? `${path}?${query}` : path;
}

/** The pauses before requests are sent again. @type {Set<{until: number, end: () => void}>} */
const pauses = new Set();

/** When a request is sent again (milliseconds since 1970), or 0. */
export const nextTry = signal(0);

/** Why a read is sent again. */
export const reason = signal("");

/** Wait. @param {number} ms @param {AbortSignal} [signal] ends it before @returns {Promise<void>} */
export function pause(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      pauses.delete(entry);
      noteNext();
      done();
    };
    const entry = { until: Date.now() + ms, end };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    pauses.add(entry);
    noteNext();
  });
}

const noteNext = () => void (nextTry.value = pauses.size ? Math.min(...[...pauses].map((entry) => entry.until)) : 0);

/** Send them all now. */
export const endPauses = () => [...pauses].forEach((entry) => void entry.end());

/** Send a request; return the response. Raises ApiError, OfflineError, AbortError.
 * @param {string} path @param {RequestInit} [options] */
export async function send(path, options = {}) {
  const read = options.method ? "" : path;
  for (let tries = 0; ; tries += 1) {
    const response = await fetch(path, { credentials: "same-origin", ...options }).catch((error) => lost(error, options));
    answered();
    noteLag(response, read);
    if (response.ok || response.status === 304) return response;
    const error = await refusal(response, read);
    const seconds = Number(response.headers.get("Retry-After"));
    const isBusy = response.status === 429 || response.status === 503;
    if (!read || !isBusy || !seconds || seconds > LONGEST || tries >= TRIES) throw error;
    reason.value = response.status === 429 || error.slug === "busy" ? "The server is busy." : error.message;
    await pause(seconds * 1000, options.signal ?? undefined);
  }
}

/** The server does not answer. @param {unknown} error @param {RequestInit} options @returns {never} */
function lost(error, options) {
  if (options.signal?.aborted) throw error;
  if (!offlineSince.value) reconnect();
  throw new OfflineError();
}

/** The server answers. */
export function answered() {
  if (!offlineSince.value) return;
  offlineSince.value = 0;
  endPauses();
  returns.value += 1;
}

/** Ask until the server answers. */
async function reconnect() {
  offlineSince.value = Date.now();
  for (let ms = 1000; offlineSince.value; ms = Math.min(2 * ms, 30_000)) {
    await pause(ms);
    if (offlineSince.value) await send("/livez").catch(() => {});
  }
}

/** Note whether an answer is behind the log. @param {Response} response @param {string} read its address, "" for a write */
function noteLag({ status, headers }, read) {
  const position = Number(headers.get("Ledger-Position"));
  if (read && headers.has("Ledger-Position")) oldest.position = Math.min(oldest.position, position);
  if (headers.has("Ledger-Projection")) behind.value = { position, path: read || address("/api/assets", { page_size: 1, min_position: position }) };
  else if (status < 500 && behind.value?.path === read) {
    behind.value = null;
    caughtUp.value += 1;
  }
}

/** @param {Response} response @param {string} read */
async function refusal(response, read) {
  const problem = await response.json().catch(() => ({}));
  const error = new ApiError(response.status, problem, response.headers.get("X-Request-Id"));
  if (response.status === 401) signedOut.value = true;
  if (read && error.slug === "projection-behind") behind.value ??= { position: 0, path: read };
  return error;
}

/** Return the JSON of a GET.
 * @param {string} path @param {Params} [params] @param {RequestInit} [options] */
export async function get(path, params, options = {}) {
  return parsed(await send(address(path, params), options), options);
}

/** The JSON of an answer. One that is not whole is a fault of the server.
 * @param {Response} response @param {RequestInit} [options] */
export async function parsed(response, options = {}) {
  const text = await response.text().catch((error) => lost(error, options));
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(500, {}, response.headers.get("X-Request-Id"));
  }
}

/** Return the rows of all pages of a list.
 * @param {string} path @param {Params} params @param {string} member @param {AbortSignal} [signal] @returns {Promise<any[]>} */
export async function allRows(path, params, member, signal) {
  const rows = [];
  let cursor = "";
  do {
    const page = await get(path, { ...params, page_size: 1000, cursor }, { signal });
    rows.push(...page[member]);
    cursor = page.next;
  } while (cursor);
  return rows;
}

/** Send JSON; return the JSON of the answer, or null for an empty one.
 * @param {string} method @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers] */
export async function write(method, path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  /** @type {Record<string, string>} */
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await send(path, { method, headers: { ...type, ...headers }, ...sent });
  return response.status === 204 ? null : parsed(response);
}

/** Yield each line of a streamed NDJSON answer, parsed.
 * @param {Response} response */
export async function* lines(response) {
  for await (const line of parts(response, "\n")) if (line) yield JSON.parse(line);
}

/** Yield the parts of a streamed text as they arrive.
 * @param {Response} response @param {string | RegExp} separator what ends each but the last */
export async function* parts(response, separator) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const whole = (rest + decoder.decode(value, { stream: !done })).split(separator);
    rest = done ? "" : /** @type {string} */ (whole.pop());
    yield* whole;
    if (done) return;
  }
}
