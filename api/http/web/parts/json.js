// A value of JSON as a tree that folds.
import { count, counted, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";

const OPEN = 2; // levels that are open at first
const STEP = 200; // members that are shown at once

/** A value of JSON. @param {{value: unknown, name?: string, depth?: number}} properties */
export function Json({ value, name, depth = 0 }) {
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
      html`<div class="members">${members.slice(0, shown).map(([key, item]) => h(Json, { key, name: list ? undefined : key, value: item, depth: depth + 1 }))}
      ${members.length > shown && html`<button class="btn small" onClick=${() => setShown(shown + STEP * 5)}>${count(members.length - shown)} more</button>`}</div><div class="close">${last}</div>`
    }</div>`;
}
