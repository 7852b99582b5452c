// The address is the state: every screen, filter and open panel is in it, in the API's own words.
// Clicks on links of ours change it without loading a page; Back and Forward restore it.
import { address } from "./api.js";
import { signal } from "./html.js";

/** @typedef {{path: string, query: URLSearchParams, key: string}} Place */

/** @param {{pathname: string, search: string}} url @param {string} [key] @returns {Place} */
const placeOf = ({ pathname, search }, key = history.state?.key ?? "") => ({ path: pathname, query: new URLSearchParams(search), key });

/** Where the page is. */
export const place = signal(placeOf(location));

const scrolls = new Map();
const PAUSE = 120; // milliseconds between two replaced addresses: browsers ignore or refuse more than 100 in 10 s
let late = ""; // the address that is written after the pause

function write() {
  if (late) history.replaceState(history.state, "", late);
  late = "";
}

/** Go to an address of ours. @param {string} href @param {{replace?: boolean}} [options] */
export function go(href, { replace = false } = {}) {
  if (replace) {
    if (!late) setTimeout(write, PAUSE);
    late = href;
    place.value = placeOf(new URL(href, location.href), place.value.key);
    return;
  }
  write();
  history.pushState({ key: crypto.randomUUID?.() ?? String(Math.random()), steps: (history.state?.steps ?? 0) + 1 }, "", href);
  place.value = placeOf(location);
}

/** Go back to where this page came from in the console; to `parent` if it was opened first.
 * @param {string} parent an address of ours */
export function back(parent) {
  if (history.state?.steps) history.back();
  else go(parent);
}

/** Return an address with changed parameters; null or "" removes one, a list repeats it.
 * @param {import("./api.js").Params} changes @param {Place} [from] */
export function changed(changes, from = place.value) {
  const query = new URLSearchParams(from.query);
  for (const name of Object.keys(changes)) query.delete(name);
  return address(from.path, changes, query);
}

/** Change parameters of the present address. Another list of assets begins at its beginning.
 * @param {import("./api.js").Params} changes @param {{replace?: boolean}} [options] */
export function setQuery(changes, options) {
  const at = place.value.path === "/" && !("open" in changes) ? { at: null } : {};
  go(changed({ ...at, ...changes }), options);
}

/** Keep the scroll place of the present address, for Back. @param {number} top */
export function keepScroll(top) {
  scrolls.set(place.value.key, top);
}

/** Return the kept scroll place of the present address, if there is one. @returns {number | undefined} */
export const keptScroll = () => scrolls.get(place.value.key);

/** Return the parameters that a pattern such as `/jobs/:id` finds in a path, or null.
 * @param {string} pattern @param {string} path @returns {Record<string, string> | null} */
export function match(pattern, path) {
  const names = pattern.split("/");
  const parts = path.replace(/(.)\/$/, "$1").split("/");
  if (names.length !== parts.length) return null;
  /** @type {Record<string, string>} */
  const found = {};
  try {
    for (const [k, name] of names.entries()) {
      if (name.startsWith(":") && parts[k]) found[name.slice(1)] = decodeURIComponent(parts[k]).replace(/^\x7f(?=\.\.?$)/, "");
      else if (name !== parts[k]) return null;
    }
  } catch {
    return null; // a part is not percent-encoded UTF-8
  }
  return found;
}

/** Follow clicks on links of ours, and Back and Forward. */
export function followLinks() {
  if (!history.state?.key) history.replaceState({ key: "first" }, "");
  place.value = placeOf(location);
  addEventListener("popstate", () => {
    late = "";
    place.value = placeOf(location);
  });
  document.addEventListener("click", (event) => {
    const link = /** @type {HTMLElement} */ (event.target).closest?.("a");
    if (!link || !isOurs(link) || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** @param {HTMLAnchorElement} link */
function isOurs(link) {
  if (link.target || link.hash || link.hasAttribute("download") || link.origin !== location.origin) return false;
  return !/^\/(api|docs|openapi\.json|metrics|web)(\/|$)/.test(link.pathname);
}
