// The only module that calls fetch. Answers are JSON; a refusal becomes an ApiError with the
// server's own words. `connection` says since when the server has not answered.
import { signal } from "./html.js";

/** Since when requests fail (milliseconds since 1970), or 0 while the server answers. */
export const offlineSince = signal(0);

/** True once the server refused our credentials: the page asks for a token and stays as it is. */
export const signedOut = signal(false);

/** Set if the ledger does not continue the one that this browser saw (`trust.js`).
 * @type {import("./html.js").Signal<{seen: any, now: any} | null>} */
export const fork = signal(null);

/** A refusal of the server: a problem document (RFC 9457). */
export class ApiError extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
    this.slug = String(problem.type || "").replace("urn:asset-ledger:", "");
    this.requestId = problem.request_id || "";
    this.errors = problem.errors || [];
    this.retryAfter = 0;
  }
}

/** The server cannot be reached. */
export class OfflineError extends Error {
  constructor() {
    super("No connection to the server.");
  }
}

/** @typedef {Record<string, string | number | boolean | null | undefined | (string | number)[]>} Params */

/** Return a path with these parameters; absent and empty ones are left out, lists repeat.
 * @param {string} path @param {Params | URLSearchParams} [params] */
export function address(path, params = {}) {
  const query = params instanceof URLSearchParams ? params : new URLSearchParams();
  if (!(params instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(params)) {
      for (const item of Array.isArray(value) ? value : [value]) {
        if (item !== undefined && item !== null && item !== "") query.append(name, String(item));
      }
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Send a request; return the response. Raises ApiError, OfflineError, AbortError.
 * @param {string} path @param {RequestInit} [options] */
export async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (!offlineSince.value) offlineSince.value = Date.now();
    throw new OfflineError();
  }
  offlineSince.value = 0;
  if (response.ok || response.status === 304) return response;
  throw await refusal(response);
}

/** @param {Response} response */
async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const error = new ApiError(response.status, problem);
  error.retryAfter = Number(response.headers.get("Retry-After")) || 0;
  error.requestId ||= response.headers.get("X-Request-Id") || "";
  if (response.status === 401) signedOut.value = true;
  return error;
}

/** Return the JSON of a GET.
 * @param {string} path @param {Params | URLSearchParams} [params] @param {RequestInit} [options] */
export async function get(path, params, options) {
  return (await send(address(path, params), options)).json();
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
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Yield each line of a streamed NDJSON answer, parsed.
 * @param {Response} response */
export async function* lines(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n");
    rest = done ? "" : /** @type {string} */ (parts.pop());
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}
