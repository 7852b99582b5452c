// The list that the reader came from, so that j and k go on in it.
import { signal } from "./html.js";

/** @type {import("./html.js").Signal<{list: import("./pages.js").PagedList<Asset>, at: number} | null>} */
const trail = signal(null);

/** Remember where in a list the reader is. @param {import("./pages.js").PagedList<Asset>} list @param {number} at */
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
