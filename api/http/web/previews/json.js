// JSON as a tree that folds. What cannot be parsed is shown as text.
import { send } from "../core/api.js";
import { count, counted, visible } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { Preview as TextPreview } from "./text.js";

const OPEN = 2; // levels that are open at first
const STEP = 200; // members that are shown at once

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const { url, fail } = properties;
  const [found, setFound] = useState(/** @type {{value: unknown} | "text" | null} */ (null));
  useEffect(() => {
    const abort = new AbortController();
    send(url, { signal: abort.signal })
      .then((response) => response.text())
      .then(
        (text) => {
          try {
            setFound({ value: JSON.parse(text) });
          } catch {
            setFound("text");
          }
        },
        (error) => abort.signal.aborted || fail(error.message),
      );
    return () => abort.abort();
  }, [url]);
  if (found === "text") return h(TextPreview, properties);
  return html`<div class="viewer code tree" tabindex="0" role="group" aria-label="JSON">${found && h(Value, { value: found.value, depth: 0 })}</div>`;
}

/** A value of JSON. @param {{value: unknown, name?: string, depth: number}} properties */
export function Value({ value, name, depth }) {
  const [open, setOpen] = useState(depth < OPEN);
  const [shown, setShown] = useState(STEP);
  const label = name === undefined ? "" : html`<i>${visible(name)}</i>: `;
  if (value === null || typeof value !== "object") return html`<div class="leaf">${label}<u>${typeof value === "string" ? `"${visible(value)}"` : String(value)}</u></div>`;
  const list = Array.isArray(value);
  const members = list ? value.map((item, k) => /** @type {const} */ ([String(k), item])) : Object.entries(value);
  const [first, last] = list ? "[]" : "{}";
  if (!members.length) return html`<div class="leaf">${label}${first}${last}</div>`;
  return html`<div class="branch"><button aria-expanded=${open} onClick=${() => setOpen(!open)}><span class="fold" aria-hidden="true"></span>${label}${first}${!open && html`<span class="quiet"> ${counted(members.length, list ? "item" : "member")} ${last}</span>`}</button>
    ${
      open &&
      html`<div class="members">${members.slice(0, shown).map(([key, item]) => h(Value, { key, name: list ? undefined : key, value: item, depth: depth + 1 }))}
      ${members.length > shown && html`<button class="btn small" onClick=${() => setShown(shown + STEP * 5)}>${count(members.length - shown)} more</button>`}</div><div class="close">${last}</div>`
    }</div>`;
}
