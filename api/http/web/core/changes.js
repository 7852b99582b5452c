// Which assets were changed: by this page at once, by others as the stream of events says it.
import { signal } from "./html.js";
import { onEvents } from "./live.js";

/** Grows with each deletion, restoration and upload of this page: lists then load anew. */
export const reloads = signal(0);

/** @type {Set<(ids: Set<string>) => void>} */
const listeners = new Set();
/** @type {Set<string>} */
let waiting = new Set();
let due = 0;

/** Call `listener` with the ids of assets that were changed.
 * @param {(ids: Set<string>) => void} listener @returns {() => void} ends it */
export function onChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Say that assets were changed. @param {Iterable<string>} ids */
export function touched(ids) {
  const changed = new Set(ids);
  for (const listener of [...listeners]) listener(changed);
}

onEvents((events) => {
  for (const event of events ?? []) if (event.asset_id) waiting.add(event.asset_id);
  if (!waiting.size || due) return;
  due = setTimeout(() => {
    const changed = waiting;
    waiting = new Set();
    due = 0;
    touched(changed);
  }, 300);
});
