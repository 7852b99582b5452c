// What this browser remembers: theme, tile size, view, pinned links. Never a token, never data.
import { effect, signal } from "./html.js";

/** Return a signal that is kept in this browser under a name.
 * @template T @param {string} name @param {T} initial @returns {import("./html.js").Signal<T>} */
export function kept(name, initial) {
  const key = `asset-ledger.${name}`;
  const made = signal(initial);
  try {
    const text = localStorage.getItem(key);
    if (text !== null) made.value = JSON.parse(text);
  } catch {
    // storage is closed or holds something else: the initial value stays
  }
  effect(() => {
    const text = JSON.stringify(made.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // private windows may refuse: the value then lasts as long as the page
    }
  });
  return made;
}

/** "light", "dark", or "" for the system's choice. */
export const theme = kept("theme", "");
/** Width of a tile in the grid, in CSS pixels. */
export const tileSize = kept("tile", 146);
/** Widths of the columns of the list of assets that were changed, in CSS pixels. */
export const columnWidths = kept("columns", /** @type {Record<string, number>} */ ({}));
/** Whether single keys act (WCAG 2.1.4). */
export const singleKeys = kept("keys", true);
/** @type {import("./html.js").Signal<{href: string, name: string}[]>} */
export const pinned = kept("pinned", []);

/** @typedef {{origin: string, key: string, since: string, size: number, root: string, seen: string}} Seen */
/** What this browser saw of the ledger: its key, and its newest checkpoint (`trust.js`). */
export const seen = kept("ledger", /** @type {Seen | null} */ (null));

const dark = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(dark.matches);
dark.addEventListener("change", (event) => (systemDark.value = event.matches));

/** Whether the page is dark now. */
export const isDark = () => (theme.value ? theme.value === "dark" : systemDark.value);

/** Change the theme. */
export const switchTheme = () => void (theme.value = isDark() ? "light" : "dark");

/** Apply the theme to the page, now and after each change. */
export function applyTheme() {
  effect(() => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  });
}
