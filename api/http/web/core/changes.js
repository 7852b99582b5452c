// Which assets were changed: by this page at once, by others as the stream of events says it.
import { signal } from "./html.js";
import { onEvents } from "./live.js";

/** Grows with each deletion, restoration and upload of this page: lists then load anew. */
export const reloads = signal(0);

/** @typedef {(ids: Set<string>, gone: Set<string>) => void} Listener gone: those that were deleted */

const listeners = new Set();
let waiting = new Set();
let deleted = new Set();
let due = 0;

/** Call `listener` with the ids of assets that were changed.
 * @param {Listener} listener @returns {() => void} ends it */
export function onChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Say that assets were changed. @param {Iterable<string>} ids @param {Iterable<string>} [gone] those that were deleted */
export function touched(ids, gone = []) {
  const [changed, dead] = [new Set(ids), new Set(gone)];
  for (const listener of [...listeners]) listener(changed, dead);
}

onEvents((events) => {
  for (const event of events ?? []) {
    if (!event.asset_id) continue;
    waiting.add(event.asset_id);
    if (event.topic === "asset.deleted") deleted.add(event.asset_id);
    else deleted.delete(event.asset_id);
  }
  if (!waiting.size || due) return;
  due = setTimeout(() => {
    const [changed, gone] = [waiting, deleted];
    waiting = new Set();
    deleted = new Set();
    due = 0;
    touched(changed, gone);
  }, 300);
});
