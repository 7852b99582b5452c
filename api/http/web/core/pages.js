// A keyset-paged list: rows by index, loaded page by page as they come into view. Pages far from
// the view are dropped and asked for again by their cursor, which is kept. A jump walks from the
// nearest known place: the beginning, the end (the reversed sort), or a day (see `anchor`).
import { address, parsed, send } from "./api.js";
import { signal } from "./html.js";

export const PAGE_SIZE = 200;
const KEPT = 20;
const FAR = 6; // pages to walk, above which a new place to walk from is looked for
const TRIES = 10; // requests for one page, which a rare combination of filters may leave empty

/** @typedef {import("./api.js").Params} Params */
/** @template T @typedef {{rows: T[], used: number, cursor: string, whole: boolean}} Page */
/** @typedef {{at: number, forward: Params, backward: Params}} Anchor
 * what a list has to be asked for so that it begins at index `at`, and at the one before, in reverse */

/** Rows from index `at` on (step 1), or those before it in reverse (step -1).
 * @template T */
class Segment {
  /** @param {number} at @param {1 | -1} step @param {Params} params @param {string} [cursor] of its first page */
  constructor(at, step, params, cursor = "") {
    this.at = at;
    this.step = step;
    this.params = params;
    /** @type {(string | null)[]} the cursor of each page; null: there is no such page */
    this.cursors = [cursor];
    /** @type {Map<number, Page<T>>} */
    this.pages = new Map();
    this.pending = new Set();
  }

  /** @param {number} index */
  offset(index) {
    return this.step > 0 ? index - this.at : this.at - 1 - index;
  }

  /** The number of the page with a row; negative where it is not in this segment. @param {number} index */
  number(index) {
    return Math.floor(this.offset(index) / PAGE_SIZE);
  }

  /** Pages to load before the row at an index is here; infinite where it is not in this segment.
   * @param {number} index */
  distance(index) {
    const number = this.number(index);
    return number < 0 ? Infinity : Math.max(0, number - (this.cursors.length - 1));
  }
}

/** @template T */
export class PagedList {
  /** @param {string} path @param {Params} params @param {string} member the rows' name in an answer */
  constructor(path, params, member) {
    this.path = path;
    this.params = params;
    this.member = member;
    /** @type {Segment<T>[]} */
    this.segments = [new Segment(0, 1, params)];
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
    /** The answer of the first page. @type {any} */
    this.first = null;
    /** The position that it reflects. */
    this.position = 0;
    /** Whether ten requests did not fill a page: `goOn` sends ten more. */
    this.paused = signal(false);
    /** Return a place near an index to begin at. @type {(index: number) => Anchor | null} */
    this.anchor = () => null;
  }

  /** Total number of rows as far as it is known: with the places of one more page where none was counted. */
  get length() {
    return this.count ?? (this.first && !this.ended ? this.known + PAGE_SIZE : this.known);
  }

  /** Return the row at an index, or null while its page is not here.
   * @param {number} index @returns {T | null} */
  row(index) {
    for (const segment of this.segments) {
      const page = segment.pages.get(segment.number(index));
      const row = page?.rows[segment.offset(index) % PAGE_SIZE];
      if (page && row) {
        page.used = performance.now();
        return row;
      }
    }
    return null;
  }

  /** A place in the list, for an address: an index, the number of rows, and the index and the cursor of its page
   * where that was reached from the beginning. @param {number} index */
  placeOf(index) {
    const segment = this.segments.find((each) => each.params === this.params && each.cursors[each.number(index)]);
    const number = segment?.number(index) ?? 0;
    return [index, this.count, ...(segment ? [segment.at + number * PAGE_SIZE, segment.cursors[number]] : [])].join(".");
  }

  /** Return the index of a place, from which on the list can be read. @param {string} place */
  enter(place) {
    const [index, rows, start, cursor] = place.split(".");
    const made = this.params.sort === "-created_at" && this.count ? this.count - Number(rows) : 0; // since then
    if (cursor) this.segments.push(new Segment(Number(start) + made, 1, this.params, cursor));
    return Math.max(0, Number(index) + made || 0);
  }

  /** Replace the rows that are here. @param {(row: T) => T} change */
  patch(change) {
    for (const segment of this.segments) for (const page of segment.pages.values()) page.rows = page.rows.map(change);
    this.changes.value += 1;
  }

  /** Load what is needed to show the rows from `start` to `stop`.
   * @param {number} start @param {number} stop */
  async need(start, stop) {
    const last = Math.max(start, Math.min(stop, this.first ? this.length : stop) - 1);
    if ([start, last].every((index) => this.row(index))) return;
    const segment = this.#nearest(start, last);
    const [low, high] = [segment.number(start), segment.number(last)].sort((a, b) => a - b);
    const isNearest = () => this.#nearest(start, last) === segment; // until days to begin at are known
    for (let number = low; number <= high; number += 1) {
      if (!(await this.#load(segment, number, isNearest))) return;
    }
  }

  /** @param {number} start @param {number} last @returns {Segment<T>} */
  #nearest(start, last) {
    const distance = (/** @type {Segment<T>} */ segment) => Math.max(segment.distance(start), segment.distance(last));
    const best = () => this.segments.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    if (distance(best()) <= FAR || !this.first) return best();
    const anchor = this.anchor(start);
    if (anchor && !this.segments.some((segment) => segment.at === anchor.at)) {
      this.segments.push(new Segment(anchor.at, 1, { ...this.params, ...anchor.forward }));
      this.segments.push(new Segment(anchor.at, -1, { ...reversed(this.params), ...anchor.backward }));
    }
    return best();
  }

  /** @param {Segment<T>} segment @param {number} number @param {() => boolean} goesOn
   * @returns {Promise<boolean>} whether the page is here */
  async #load(segment, number, goesOn) {
    while (!segment.pages.get(number)?.whole && goesOn()) {
      const next = Math.min(number, segment.cursors.length - 1);
      if (segment.cursors[next] === null || segment.pending.has(next) || this.paused.value) return false;
      segment.pending.add(next);
      try {
        await this.#fill(segment, next);
      } catch (error) {
        if (!this.abort.signal.aborted) this.#fail(segment, error);
        return false;
      } finally {
        segment.pending.delete(next);
      }
    }
    return Boolean(segment.pages.get(number)?.whole);
  }

  /** Show why a page is not here; the cursor of an address may be of another list. @param {Segment<T>} segment @param {any} error */
  #fail(segment, error) {
    if (error.status !== 400 || segment === this.segments[0]) return void (this.error.value = error);
    this.segments = this.segments.filter((each) => each !== segment);
    this.changes.value += 1;
  }

  /** Ask until a page is full. @param {Segment<T>} segment @param {number} number */
  async #fill(segment, number) {
    const page = segment.pages.get(number) ?? { rows: [], used: 0, cursor: segment.cursors[number] ?? "", whole: false };
    for (let tries = 0; !page.whole; tries += 1) {
      const page_size = PAGE_SIZE - page.rows.length;
      const count = this.first || this.params.as_of ? {} : { count: "exact" }; // what was is not counted
      const params = { ...segment.params, page_size, cursor: page.cursor || undefined, ...count };
      const response = await send(address(this.path, params), { signal: this.abort.signal });
      const answer = await parsed(response, { signal: this.abort.signal });
      if (!this.first) this.position = Number(response.headers.get("Ledger-Position"));
      this.first ??= answer;
      if (answer.count !== undefined) this.count = answer.count;
      page.rows.push(...answer[this.member]);
      page.cursor = answer.next;
      page.whole = !answer.next || page.rows.length >= PAGE_SIZE;
      if (page.whole) segment.cursors[number + 1] = answer.next || null;
      this.#keep(segment, number, page);
      if (tries >= TRIES && !page.whole) return void (this.paused.value = true);
    }
  }

  /** @param {Segment<T>} segment @param {number} number @param {Page<T>} page */
  #keep(segment, number, page) {
    page.used = performance.now();
    segment.pages.set(number, page);
    if (segment === this.segments[0]) {
      this.known = Math.max(this.known, number * PAGE_SIZE + page.rows.length);
      if (page.whole && !page.cursor) {
        this.ended = true;
        this.count = this.known;
      } else if (this.segments.length === 1 && this.count && this.params.sort) {
        this.segments.push(new Segment(this.count, -1, reversed(this.params)));
      }
    }
    this.#drop();
    this.error.value = null;
    this.changes.value += 1;
  }

  #drop() {
    const all = this.segments.flatMap((segment) => [...segment.pages].map(([number, page]) => ({ segment, number, page })));
    all.sort((a, b) => a.page.used - b.page.used);
    for (const { segment, number } of all.slice(0, Math.max(0, all.length - KEPT))) segment.pages.delete(number);
  }

  /** Go on after a pause. */
  goOn() {
    this.paused.value = false;
    this.changes.value += 1;
  }

  /** Abort what is under way: the view was left. */
  close() {
    this.abort.abort();
  }
}

/** @param {Params} params @returns {Params} */
function reversed(params) {
  const sort = String(params.sort);
  return { ...params, sort: sort.startsWith("-") ? sort.slice(1) : `-${sort}` };
}

/** @type {import("./html.js").Signal<{list: PagedList<Asset>, at: number} | null>} */
const trail = signal(null);

/** Remember where in a list the reader is. @param {PagedList<Asset>} list @param {number} at */
export const remember = (list, at) => void (trail.value = { list, at });

/** The asset beside one that is shown, or null; it becomes the present place.
 * @param {string} id @param {1 | -1} step @returns {Asset | null} */
export function beside(id, step) {
  const now = trail.value;
  if (!now) return null;
  const at = [now.at, now.at + 1, now.at - 1].find((index) => now.list.row(index)?.id === id);
  return at === undefined ? null : now.list.row(at + step);
}

/** Go on to a place beside. @param {string} id @param {1 | -1} step */
export function advance(id, step) {
  const next = beside(id, step);
  if (next && trail.value) trail.value = { ...trail.value, at: trail.value.at + step };
  return next;
}

// Which rows are in view: cells have one size, so a position is a division, and rows outside the window
// do not exist. A scroll box is at most MAX_HEIGHT px high: beyond, it is scaled.
export const MAX_HEIGHT = 8_000_000;

/** @typedef {{start: number, stop: number, top: number, height: number}} Window
 * rows [start, stop), the offset of row `start` in px, the height of the scroll box in px */

/** @param {{scrollTop: number, viewHeight: number, rowHeight: number, rows: number, overscan?: number}} view
 * @returns {Window} */
export function windowOf({ scrollTop, viewHeight, rowHeight, rows, overscan = 3 }) {
  const full = rows * rowHeight;
  const height = Math.min(full, MAX_HEIGHT);
  const range = Math.max(1, height - viewHeight);
  // the first visible pixel of the whole list; equal to scrollTop unless the box is scaled
  const pixel = full > MAX_HEIGHT ? (scrollTop / range) * (full - viewHeight) : scrollTop;
  const first = Math.floor(pixel / rowHeight);
  const start = Math.max(0, first - overscan);
  const stop = Math.min(rows, first + Math.ceil(viewHeight / rowHeight) + 1 + overscan);
  return { start, stop, top: start * rowHeight - pixel + scrollTop, height };
}

/** Return the scroll place that shows a row at the top.
 * @param {number} row @param {{viewHeight: number, rowHeight: number, rows: number}} view */
export function scrollTo(row, { viewHeight, rowHeight, rows }) {
  const full = rows * rowHeight;
  if (full <= MAX_HEIGHT) return row * rowHeight;
  return (row * rowHeight * (MAX_HEIGHT - viewHeight)) / (full - viewHeight);
}
