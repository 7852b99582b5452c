// One job with its events: loaded once, grown by the stream.
import { get, lines, send } from "./api.js";
import { Replay } from "./fold.js";
import { signal, useEffect, useMemo } from "./html.js";
import { onEvents } from "./live.js";
import { session } from "./session.js";

/** Above this number of events a job is not folded in the browser. */
export const LIMIT = 5000;

/** A job as signals: `job`, `replay`, `changes` (counts additions), `error`. */
export class LiveJob {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.path = `/api/jobs/${encodeURIComponent(id)}`;
    this.job = signal(/** @type {Job | null} */ (null));
    this.replay = signal(/** @type {Replay | null} */ (null));
    this.changes = signal(0);
    this.error = signal(/** @type {unknown} */ (null));
    this.wide = false;
    this.abort = new AbortController();
  }

  async load() {
    try {
      this.job.value = await get(this.path, {}, { signal: this.abort.signal });
      const replay = new Replay([], session.value?.user_id ?? "");
      await this.read(replay, "");
      this.replay.value = replay;
      this.error.value = null;
    } catch (error) {
      if (!this.abort.signal.aborted) this.error.value = error;
    }
  }

  /** Read the history as it is streamed, up to the limit. @param {Replay} replay @param {string} cursor */
  async read(replay, cursor) {
    const abort = new AbortController();
    this.abort.signal.addEventListener("abort", () => abort.abort());
    const headers = { Accept: "application/x-ndjson" };
    const response = await send(`${this.path}/history${cursor && `?cursor=${cursor}`}`, { headers, signal: abort.signal });
    const events = [];
    for await (const event of lines(response)) {
      events.push(event);
      if (events.length < LIMIT) continue;
      this.wide = true;
      abort.abort();
      break;
    }
    replay.add(events);
  }

  /** Ask for the job and for what was recorded since. */
  async refresh() {
    const replay = this.replay.value;
    const last = replay?.events.at(-1)?.position;
    if (!replay || !last || this.wide) return;
    const [job, news] = await Promise.all([get(this.path), get("/api/events", { after: last, job_id: this.id, limit: 1000 })]);
    this.job.value = job;
    if (replay.add(news.events)) this.changes.value += 1;
  }

  close() {
    this.abort.abort();
  }
}

/** The job of a screen, followed while it is shown. @param {string} id */
export function useJob(id) {
  const live = useMemo(() => new LiveJob(id), [id]);
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
