// A JSON value as a tree that folds.
import { h, html } from "../core/html.js";
import { visible } from "../core/format.js";

const DEEP = 40;

/** @param {{value: any, name?: string, depth?: number}} properties */
export function Json({ value, name, depth = 0 }) {
  const label = name === undefined ? null : html`<span class="k">${visible(name)}</span>: `;
  if (value === null || typeof value !== "object" || depth > DEEP) return html`<div>${label}<span class="v">${visible(JSON.stringify(value) ?? "")}</span></div>`;
  const entries = Object.entries(value);
  const [begin, end] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (!entries.length) return html`<div>${label}${begin}${end}</div>`;
  return html`<details open=${depth < 3}><summary>${label}${begin} <span class="quiet">${entries.length}</span> ${end}</summary>
    <div>${entries.map(([key, each]) => h(Json, { key, name: Array.isArray(value) ? undefined : key, value: each, depth: depth + 1 }))}</div></details>`;
}
