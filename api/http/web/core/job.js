// One job, or one attempt of it, with all of its events: read as they are streamed, grown by news.
import { address, get, lines, part, send } from "./api.js";
import { Replay } from "./fold.js";
import { signal, useEffect, useMemo } from "./html.js";
import { onEvents } from "./live.js";
import { session } from "./session.js";

/** Above this number of events their proof is left to the audit bundle. */
export const PROVEN = 5000;
const STEP = 5000; // events after which those that are here are shown

/** A job as signals: `job`, `replay`, `changes` (counts additions), `error`. */
export class LiveJob {
  /** @param {string} id @param {string} attempt its number, "" for all */
  constructor(id, attempt) {
    this.id = id;
    this.attempt = attempt;
    this.path = `/api/jobs/${part(id)}`;
    this.job = signal(/** @type {Job | null} */ (null));
    this.replay = signal(/** @type {Replay | null} */ (null));
    this.changes = signal(0);
    this.error = signal(/** @type {unknown} */ (null));
    /** Whether every event up to the present is here. */
    this.whole = signal(false);
    this.missed = false;
    this.abort = new AbortController();
  }

  async load() {
    try {
      this.job.value = await get(this.path, {}, { signal: this.abort.signal });
      await this.read(new Replay([], session.value?.user_id ?? ""));
      this.error.value = null;
      this.whole.value = true;
      if (this.missed) await this.refresh();
    } catch (error) {
      if (!this.abort.signal.aborted) this.error.value = error;
    }
  }

  /** Read the history as it is streamed; it grows while it is shown. @param {Replay} replay */
  async read(replay) {
    const url = address(`${this.path}/history`, { attempt: this.attempt });
    const response = await send(url, { headers: { Accept: "application/x-ndjson" }, signal: this.abort.signal });
    let events = [];
    for await (const event of lines(response)) {
      events.push(event);
      if (events.length < STEP) continue;
      this.grow(replay, events);
      events = [];
    }
    this.grow(replay, events);
  }

  /** @param {Replay} replay @param {LedgerEvent[]} events */
  grow(replay, events) {
    const grown = replay.add(events);
    this.replay.value = replay;
    if (grown) this.changes.value += 1;
  }

  /** Ask for the job and for what was recorded since. */
  async refresh() {
    const replay = this.replay.value;
    this.missed = !replay || !this.whole.value; // what is read now may have ended before the news
    if (!replay || this.missed) return;
    this.job.value = await get(this.path);
    for (let more = true; more; ) {
      const after = replay.events.at(-1)?.position;
      const news = await get(`${this.path}/history`, { after, attempt: this.attempt, page_size: 1000 });
      this.grow(replay, news.events);
      more = Boolean(news.next);
    }
  }

  close() {
    this.abort.abort();
  }
}

/** The job of a screen, followed while it is shown. @param {string} id @param {string} attempt */
export function useJob(id, attempt) {
  const live = useMemo(() => new LiveJob(id, attempt), [id, attempt]);
  useEffect(() => {
    let due = 0;
    live.load();
    const stop = onEvents((events) => {
      if (events && !events.some((event) => event.job_id === id)) return;
      clearTimeout(due);
      due = setTimeout(() => live.refresh().catch(() => {}), 150);
    });
    return () => {
      clearTimeout(due);
      stop();
      live.close();
    };
  }, [live]);
  return live;
}
