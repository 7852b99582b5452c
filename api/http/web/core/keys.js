// Keyboard shortcuts. A screen registers its keys while it is shown; the newest registration wins.
import { useLayoutEffect } from "./html.js";
import { singleKeys } from "./prefs.js";

/** @typedef {Record<string, (event: KeyboardEvent) => void>} Keys */

/** @type {Keys[]} */
const layers = [];
let pending = "";

/** Use keys while a component is shown. A key is a name such as "x", "ArrowLeft", "Shift+ArrowLeft",
 * "Ctrl+k", or two keys in a row such as "g a".
 * @param {Keys} keys @param {unknown[]} [inputs] */
export function useKeys(keys, inputs = []) {
  useLayoutEffect(() => {
    layers.push(keys);
    return () => void layers.splice(layers.indexOf(keys), 1);
  }, inputs);
}

/** Whether a key press belongs to a field that is being edited. @param {KeyboardEvent} event */
function isTyping(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  return target.isContentEditable || (/^(input|textarea|select)$/i.test(target.tagName) && !/^(range|checkbox|radio|button)$/.test(/** @type {any} */ (target).type));
}

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const held = event.ctrlKey || event.metaKey ? "Ctrl+" : event.altKey ? "Alt+" : "";
  const shift = event.shiftKey && event.key.length > 1 ? "Shift+" : "";
  return held + shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

/** Listen for keys, once at the start. */
export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return; // a dialog has its own keys
    const name = nameOf(event);
    const single = !name.startsWith("Ctrl+") && event.key.length === 1;
    if (name !== "Ctrl+k" && isTyping(event)) return void (event.key === "Escape" && /** @type {HTMLElement} */ (event.target).blur());
    if (single && !singleKeys.value) return;
    const both = `${pending} ${name}`;
    pending = single ? name : "";
    const newest = [...layers].reverse();
    const row = newest.find((keys) => keys[both])?.[both];
    const act = row ?? newest.find((keys) => keys[name])?.[name];
    if (row) pending = "";
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
