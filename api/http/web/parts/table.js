// A table of rows: headers that sort, cells that are numbers, texts or links; loads more at its end.
import { h, html, useEffect, useRef } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { singleKeys } from "../core/prefs.js";
import { Icon } from "./basic.js";

/** @template T @typedef {{name: string, cell: (row: T, index: number) => any, n?: boolean, opt?: boolean, sort?: string, wide?: boolean}} Column
 * n: a number, at the right; opt: left out on phones; sort: the value of `sort=` */

/** @param {{columns: Column<any>[], rows: any[], keyOf: (row: any) => string | number, sorted?: string, sort?: (key: string) => void,
 *   more?: () => void, label: string, tight?: boolean, kindOf?: (row: any) => string}} properties */
export function Table({ columns, rows, keyOf, sorted, sort, more, label, tight, kindOf }) {
  const body = useRef(null);
  const press = (/** @type {KeyboardEvent} */ event) => {
    const lines = [.../** @type {HTMLTableSectionElement} */ (body.current).rows];
    const at = lines.findIndex((line) => line.contains(document.activeElement));
    const to = /** @type {Record<string, number>} */ ({ ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1, PageDown: at + 10, PageUp: at - 10 })[event.key];
    if (at >= 0 && pressed(event, lines[at])) return event.preventDefault();
    if (to === undefined) return;
    event.preventDefault();
    /** @type {HTMLElement | null | undefined} */ (lines[Math.max(0, Math.min(to, lines.length - 1))]?.querySelector("a, button"))?.focus();
  };
  useKeys({ ArrowDown: press }); // from anywhere on the screen into the table
  return html`<table class="rows"><caption class="vh">${label}</caption><thead><tr>${columns.map((column) => h(Header, { key: column.name, column, sorted, sort }))}</tr></thead>
    <tbody ref=${body} onKeyDown=${press}>${rows.map(
      (row, index) => html`<tr key=${keyOf(row)} class=${`${tight ? "tight " : ""}${kindOf?.(row) ?? ""}`}>
      ${columns.map((column) => html`<td key=${column.name} class=${classes(column)}>${column.cell(row, index)}</td>`)}</tr>`,
    )}</tbody></table>
    ${more && h(More, { more, key: rows.length })}`;
}

/** Select a row by x; by Space look at what it shows in place, or else open it. Return whether that was done.
 * @param {KeyboardEvent} event @param {HTMLTableRowElement} line */
function pressed(event, line) {
  const target = /** @type {HTMLElement} */ (event.target);
  const first = (/** @type {string} */ selector) => /** @type {HTMLElement | null} */ (line.querySelector(selector));
  let found = null;
  if (event.key === "x" && singleKeys.value && !event.ctrlKey && !event.metaKey) found = first("[type=checkbox]");
  if (event.key === " " && target.matches("a")) found = first("button") ?? target; // a button has Space by itself
  found?.click();
  return found !== null;
}

/** @param {Column<any>} column */
const classes = (column) => `${column.n ? "n " : ""}${column.opt ? "opt " : ""}${column.wide ? "wide" : ""}`;

/** @param {{column: Column<any>, sorted?: string, sort?: (key: string) => void}} properties */
function Header({ column, sorted, sort }) {
  if (!column.sort || !sort) return html`<th scope="col" class=${classes(column)}>${column.name}</th>`;
  const on = sorted === column.sort;
  return html`<th scope="col" class=${classes(column)} aria-sort=${on ? "descending" : undefined}><button onClick=${() => sort(/** @type {string} */ (column.sort))}>${column.name}${on && h(Icon, { name: "arrow-down", small: true })}</button></th>`;
}

/** Asks for more rows when it comes into view. @param {{more: () => void}} properties */
export function More({ more }) {
  const box = useRef(null);
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && more());
    watch.observe(box.current);
    return () => watch.disconnect();
  }, [more]);
  return html`<div class="more" ref=${box}><button class="btn small" onClick=${more}>Load more</button></div>`;
}
