// CSV and TSV as a table (RFC 4180): the first row is the head. Cells are texts: nothing is computed.
import { bytes, count, visible } from "../core/format.js";
import { html, useMemo, useState } from "../core/html.js";
import { useText } from "./text.js";

const STEP = 500; // rows that are shown at once

/** Split a text into rows of cells. @param {string} text @param {string} separator @returns {string[][]} */
export function parse(text, separator) {
  const rows = [];
  /** @type {string[]} */
  let row = [];
  let cell = "";
  let quoted = false;
  for (let k = 0; k < text.length; k += 1) {
    const c = text[k];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[k + 1] === '"') cell += text[(k += 1)];
      else quoted = false;
    } else if (c === '"' && !cell) quoted = true;
    else if (c === separator || c === "\n") {
      row.push(cell.replace(/\r$/, ""));
      cell = "";
      if (c === "\n") row = (rows.push(row), []);
    } else cell += c;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows;
}

/** @param {string} text @param {string} type */
function separatorOf(text, type) {
  if (type.includes("tab-separated")) return "\t";
  const head = text.slice(0, text.indexOf("\n") + 1 || undefined);
  return [",", ";", "\t"].reduce((best, one) => (head.split(one).length > head.split(best).length ? one : best));
}

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const { asset } = properties;
  const { text, all, more, busy, to } = useText(properties);
  const [shown, setShown] = useState(STEP);
  const whole = all ? text : text.slice(0, text.lastIndexOf("\n") + 1);
  const [head = [], ...rows] = useMemo(() => parse(whole, separatorOf(whole, asset.content_type)), [whole]);
  const numeric = head.map((_, k) => rows.slice(0, 50).every((row) => !row[k] || !Number.isNaN(Number(row[k]))));
  return html`<div class="viewer sheet-box" tabindex="0" role="group" aria-label="Table"><table class="sheet-table"><thead><tr><td></td>${head.map((cell, k) => html`<th key=${k} class=${numeric[k] ? "num" : ""}>${visible(cell)}</th>`)}</tr></thead>
    <tbody>${rows.slice(0, shown).map((row, k) => html`<tr key=${k}><th class="num">${count(k + 1)}</th>${row.map((cell, c) => html`<td key=${c} class=${numeric[c] ? "num" : ""}>${visible(cell)}</td>`)}</tr>`)}</tbody></table>
    ${
      (rows.length > shown || !all) &&
      to > 0 &&
      html`<p class="more-text"><button class="btn" disabled=${busy} onClick=${() => (rows.length > shown ? setShown(shown + STEP) : more())}>Load more</button>
      <span class="quiet num">${count(Math.min(shown, rows.length))} rows${all ? ` of ${count(rows.length)}` : `, ${bytes(to)} of ${bytes(asset.size)}`}</span></p>`
    }</div>`;
}
