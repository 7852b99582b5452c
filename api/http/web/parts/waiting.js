// The line above every screen while the server does not answer, is busy, or has tables behind its log.
import { behind, endPauses, nextTry, offlineSince, pause, reason, send } from "../core/api.js";
import { counted, time } from "../core/format.js";
import { h, html, useEffect, useRef, useState } from "../core/html.js";
import { eventsAfter, head } from "../core/live.js";
import { useReturn } from "../core/rows.js";
import { toast } from "./over.js";

export function Waiting() {
  const since = offlineSince.value;
  const until = nextTry.value;
  const lost = useRef(0);
  useEffect(() => void (since && (lost.current = head.value)), [since]);
  useReturn(() => void greet(lost.current));
  useEffect(catchUp, [behind.value?.path]);
  const text = since ? `No connection since ${time(new Date(since).toISOString())}. Showing what was loaded.` : behind.value ? lag(behind.value.position) : until ? reason.value : "";
  return html`<div class=${text ? "strip warn" : "vh"}><span role="status">${text}</span>${until > 0 && (since || !behind.value) && h(Countdown, { until })}</div>`;
}

/** @param {number} position of the tables, 0 where it is unknown */
function lag(position) {
  const events = position && head.value - position;
  return `The tables are ${events > 0 ? `${counted(events, "event")} behind` : "behind the log"}. Showing what they have; waiting.`;
}

/** When requests are sent again. It is not in the live region, since it changes each second. @param {{until: number}} properties */
function Countdown({ until }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<span>Trying again in ${Math.max(1, Math.ceil((until - now) / 1000))} s.</span><button class="btn small" onClick=${endPauses}>Now</button>`;
}

/** Ask for what was behind until it is not. */
function catchUp() {
  const abort = new AbortController();
  const { signal } = abort;
  const path = behind.value?.path;
  const ask = async () => {
    for (let ms = 1000; path && !signal.aborted; ms = Math.min(2 * ms, 30_000)) {
      await pause(ms, signal);
      if (!signal.aborted) await send(path, { signal }).catch(() => {});
    }
  };
  ask();
  return () => abort.abort();
}

/** Say what was recorded while the server did not answer. @param {number} after the last event before */
async function greet(after) {
  const n = after ? await eventsAfter(after).catch(() => -1) : -1;
  const events = n >= 1000 ? "1,000 or more events" : counted(n, "event");
  toast(n < 0 ? "Connected." : `Connected. ${events} ${n === 1 ? "was" : "were"} recorded meanwhile.`);
}
