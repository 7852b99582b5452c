// A keyset-paged list: rows by index, loaded page by page as they come into view. Pages far from
// the view are dropped and asked for again by their cursor, which is kept.
import { get } from "./api.js";
import { signal } from "./html.js";

export const PAGE_SIZE = 200;
const KEPT = 20;

/** @template T @typedef {{rows: T[], used: number}} Page */

/** @template T */
export class PagedList {
  /** @param {string} path @param {import("./api.js").Params} params @param {string} member the rows' name in an answer */
  constructor(path, params, member) {
    this.path = path;
    this.params = params;
    this.member = member;
    /** @type {(string | null)[]} the cursor of each page; null: there is no such page */
    this.cursors = [""];
    /** @type {Map<number, Page<T>>} */
    this.pages = new Map();
    /** @type {Set<number>} */
    this.pending = new Set();
    this.abort = new AbortController();
    /** Changes with each page that arrives. */
    this.changes = signal(0);
    /** @type {import("./html.js").Signal<unknown>} */
    this.error = signal(null);
    /** Total of the list, or null until the first page said it. @type {number | null} */
    this.count = null;
    /** Rows that the loaded pages add up to. */
    this.known = 0;
    /** Whether the last page was reached. */
    this.ended = false;
    /** @type {any} */
    this.first = null;
  }

  /** Total number of rows as far as it is known. */
  get length() {
    return this.count ?? this.known;
  }

  /** Return the row at an index, or null while its page is not here.
   * @param {number} index @returns {T | null} */
  row(index) {
    const page = this.pages.get(Math.floor(index / PAGE_SIZE));
    if (!page) return null;
    page.used = performance.now();
    return page.rows[index % PAGE_SIZE] ?? null;
  }

  /** Load what is needed to show the rows from `start` to `stop`.
   * @param {number} start @param {number} stop */
  async need(start, stop) {
    const last = Math.floor(Math.max(start, stop - 1) / PAGE_SIZE);
    for (let number = Math.floor(start / PAGE_SIZE); number <= last; number += 1) {
      if (!(await this.#load(number))) return;
    }
  }

  /** @param {number} number @returns {Promise<boolean>} whether the page is here */
  async #load(number) {
    if (this.pages.has(number)) return true;
    if (this.pending.has(number)) return false;
    while (this.cursors[number] === undefined) {
      const nearest = this.cursors.length - 1;
      if (this.cursors[nearest] === null) return false;
      if (this.pending.has(nearest) || !(await this.#load(nearest))) return false;
    }
    const cursor = this.cursors[number];
    if (cursor === null) return false;
    this.pending.add(number);
    try {
      const params = { ...this.params, page_size: PAGE_SIZE, cursor, ...(number ? {} : { count: "exact" }) };
      const answer = await get(this.path, params, { signal: this.abort.signal });
      this.#keep(number, answer);
      return true;
    } catch (error) {
      if (!this.abort.signal.aborted) this.error.value = error;
      return false;
    } finally {
      this.pending.delete(number);
    }
  }

  /** @param {number} number @param {any} answer */
  #keep(number, answer) {
    const rows = answer[this.member];
    if (number === 0) this.first = answer;
    if (answer.count !== undefined) this.count = answer.count;
    this.cursors[number + 1] = answer.next || null;
    this.known = Math.max(this.known, number * PAGE_SIZE + rows.length);
    if (!answer.next) {
      this.ended = true;
      this.count = number * PAGE_SIZE + rows.length;
    }
    this.pages.set(number, { rows, used: performance.now() });
    this.#drop();
    this.error.value = null;
    this.changes.value += 1;
  }

  #drop() {
    if (this.pages.size <= KEPT) return;
    const oldest = [...this.pages].sort(([, a], [, b]) => a.used - b.used);
    for (const [number] of oldest.slice(0, this.pages.size - KEPT)) this.pages.delete(number);
  }

  /** Abort what is under way: the view was left. */
  close() {
    this.abort.abort();
  }
}
