// Two contents beside each other: a slider for pictures, lines for texts, sizes for the rest.
import { send } from "../core/api.js";
import { fields, folded, lines, words } from "../core/diff.js";
import { bytes, counted, short, visible } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { Failure, Skeleton } from "../parts/basic.js";

/** @typedef {import("../core/diff.js").Line} Line */
/** @typedef {{asset: Asset, url: string, name: string}} Side the bytes, and what to call them */

const TEXT_LIMIT = 1_000_000; // bytes of a text that is compared

/** @param {Asset} asset */
const isText = (asset) => /^text\/|json|ya?ml|xml$|csv|javascript|sql/.test(asset.content_type) && asset.size <= TEXT_LIMIT;
const isPicture = (/** @type {Asset} */ asset) => asset.content_type.startsWith("image/") && !/tiff|heic/.test(asset.content_type);

/** Fields and contents that differ. @param {{old: Side, now: Side}} properties */
export function Changes({ old, now }) {
  return html`${h(FieldChanges, { old: old.asset, now: now.asset })}${now.asset.get_url && h(ContentChanges, { old, now })}`;
}

/** @param {{old: Asset, now: Asset}} properties */
function FieldChanges({ old, now }) {
  const changes = fields(old, now);
  const text = (/** @type {string} */ field, /** @type {unknown} */ value) => (field === "digest" || field === "parent_id" ? short(String(value)) : value === undefined || value === null ? "none" : visible(typeof value === "string" ? value : JSON.stringify(value)));
  if (!changes.length) return html`<p class="quiet">No field differs.</p>`;
  return html`<dl class="changes">${changes.map(
    ({ field, from, to }) => html`<dt key=${field}><bdi>${visible(field)}</bdi></dt>
    <dd><del><bdi>${field === "size" ? bytes(Number(from)) : text(field, from)}</bdi></del> <ins><bdi>${field === "size" ? bytes(Number(to)) : text(field, to)}</bdi></ins></dd>`,
  )}</dl>`;
}

/** @param {{old: Side, now: Side}} properties */
function ContentChanges({ old, now }) {
  if (old.asset.digest === now.asset.digest) return html`<p class="quiet">The bytes are the same.</p>`;
  if (isPicture(old.asset) && isPicture(now.asset)) return h(Slider, { old, now });
  if (isText(old.asset) && isText(now.asset)) return h(TextChanges, { old, now });
  return html`<p>${old.name} has <span class="num">${bytes(old.asset.size)}</span>, ${now.name} has <span class="num">${bytes(now.asset.size)}</span>. The bytes differ.</p>`;
}

/** One picture over the other, divided at the handle. @param {{old: Side, now: Side}} properties */
function Slider({ old, now }) {
  const [at, setAt] = useState(50);
  return html`<div class="slider"><img src=${now.url} alt=${now.name} draggable=${false} />
    <img class="upper" src=${old.url} alt=${old.name} draggable=${false} style=${{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
    <span class="side-name">${old.name}</span><span class="side-name end">${now.name}</span>
    <div class="divider" style=${{ left: `${at}%` }}></div>
    <input type="range" min="0" max="100" step="0.5" value=${at} aria-label="Divide the two pictures" onInput=${(event) => setAt(Number(event.target.value))} /></div>`;
}

/** @param {{old: Side, now: Side}} properties */
function TextChanges({ old, now }) {
  const [found, setFound] = useState(/** @type {{lines: Line[] | null} | null} */ (null));
  const [error, setError] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    const read = async (/** @type {Side} */ side) => (await send(side.url, { signal: abort.signal })).text();
    setFound(null);
    Promise.all([read(old), read(now)])
      .then(([a, b]) => lines(a, b))
      .then(
        (all) => setFound({ lines: all }),
        (why) => abort.signal.aborted || setError(why),
      );
    return () => abort.abort();
  }, [old.url, now.url]);
  if (error) return h(Failure, { error });
  if (!found) return h(Skeleton, {});
  if (!found.lines) return html`<p class="quiet">The texts are too long or too different to compare line by line.</p>`;
  return h(Lines, { all: found.lines });
}

/** @param {{all: Line[]}} properties */
function Lines({ all }) {
  const rows = folded(all);
  const pairs = pairsOf(all);
  return html`<div class="diff" tabindex="0" role="group" aria-label="Lines that differ"><table>${rows.map((row, k) =>
    row.kind === "skip"
      ? html`<tr key=${k} class="skip"><td colspan="3">${counted(row.n, "line")} the same</td></tr>`
      : html`<tr key=${k} class=${row.kind}><td class="num">${row.oldLine ?? ""}</td><td class="num">${row.newLine ?? ""}</td>
      <td><span class="vh">${{ same: "", old: "Removed: ", new: "Added: " }[row.kind]}</span>${pairs.has(row) ? h(Words, { line: row, other: /** @type {Line} */ (pairs.get(row)) }) : plain(row.text)}</td></tr>`,
  )}</table></div>`;
}

const plain = (/** @type {string} */ text) => text.replace(/\r$/, "").split("\t").map(visible).join("\t");

/** Lines that were replaced one for one. @param {Line[]} all @returns {Map<Line, Line>} */
function pairsOf(all) {
  const pairs = new Map();
  for (let k = 0; k < all.length; ) {
    let [olds, news] = [0, 0];
    while (all[k + olds]?.kind === "old") olds += 1;
    while (all[k + olds + news]?.kind === "new") news += 1;
    for (let n = 0; olds === news && n < olds; n += 1) {
      pairs.set(all[k + n], all[k + olds + n]);
      pairs.set(all[k + olds + n], all[k + n]);
    }
    k += Math.max(1, olds + news);
  }
  return pairs;
}

/** A line whose words are compared with those of the line it replaced. @param {{line: Line, other: Line}} properties */
function Words({ line, other }) {
  const [parts, setParts] = useState(/** @type {{value: string, added?: boolean, removed?: boolean}[]} */ ([{ value: line.text }]));
  useEffect(() => {
    const [from, to] = line.kind === "old" ? [line, other] : [other, line];
    words(from.text, to.text).then(setParts);
  }, [line.text, other.text]);
  return parts.map((part) => (part.added || part.removed ? (part.added === (line.kind === "new") ? html`<mark>${plain(part.value)}</mark>` : "") : plain(part.value)));
}
