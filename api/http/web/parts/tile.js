// An asset as a picture: thumbnail, waveform, first lines, or the icon of its kind; and its tile.
import { returns } from "../core/api.js";
import { bytes, group, ICON, length, visible } from "../core/format.js";
import { h, html, useEffect, useRef, useState } from "../core/html.js";
import { beginning, meanColor, peaks, queue, sized } from "../core/thumbs.js";
import { Icon, Name } from "./basic.js";

const DRAWN = 200_000; // bytes of an SVG that a tile draws
const SMALL = 64; // px: what is smaller is neither enlarged nor cut
const SOUND_LIMIT = 4_000_000; // bytes that a tile decodes for a waveform

/** The picture of an asset. @param {{asset: Asset, width?: number, plain?: boolean}} properties
 * width in CSS pixels; plain: without badges */
export function Face({ asset, width = 160, plain }) {
  return html`<div class="face">${h(Inside, { key: `${asset.id} ${asset.version}`, asset, width })}${!plain && h(Badge, { asset })}</div>`;
}

/** @param {{asset: Asset, width: number}} properties */
function Inside({ asset, width }) {
  const kind = group(asset.content_type);
  const turn = returns.value;
  const [failedAt, setFailedAt] = useState(-1);
  const failed = failedAt === turn; // until the server answers again
  const fail = () => setFailedAt(turn);
  if (failed || asset.deleted_at) return h(BigIcon, { asset });
  if (asset.thumb_url) return h(Thumb, { url: sized(asset.thumb_url, width), fail });
  if (asset.get_url) {
    if (asset.content_type === "image/svg+xml" && asset.size <= DRAWN) return h(Thumb, { url: `${asset.get_url}?version=${asset.version}`, fail });
    if (kind === "audio") return h(Wave, { asset, fail });
    if ((kind === "text" || isText(asset.content_type)) && asset.size) return h(Lines, { asset, fail });
  }
  return h(BigIcon, { asset });
}

const isText = (/** @type {string} */ type) => /json|csv|yaml|xml$|sql|tab-separated/.test(type);

/** @param {{asset: Asset}} properties */
function BigIcon({ asset }) {
  const kind = group(asset.content_type);
  return html`<svg class="i big" viewBox="0 0 24 24" aria-hidden="true" style=${{ color: `var(--m-${kind})` }}>
    <use href=${new URL(`../icons.svg#${ICON[kind]}`, import.meta.url).href} /></svg>`;
}

/** @param {{url: string, fail: () => void}} properties */
function Thumb({ url, fail }) {
  const image = useRef(null);
  useEffect(() => {
    const element = /** @type {HTMLImageElement} */ (image.current);
    const { style } = /** @type {HTMLElement} */ (element.parentElement);
    const slow = setTimeout(() => meanColor(url.split("/")[3]).then((color) => element.onload && element.classList.contains("waiting") && (style.background = color)), 150);
    let end = () => {};
    const load = () =>
      new Promise((/** @type {(value?: unknown) => void} */ done) => {
        end = done;
        element.onload = () => {
          element.classList.remove("waiting");
          element.style.objectFit = url.includes("content") ? "contain" : Math.min(element.naturalWidth, element.naturalHeight) < SMALL ? "scale-down" : "";
          style.background = "";
          done();
        };
        element.onerror = () => (fail(), done());
        element.src = url;
      });
    const cancel = queue(load);
    return () => {
      cancel();
      clearTimeout(slow);
      style.background = "";
      element.onload = element.onerror = null;
      element.removeAttribute("src");
      end();
    };
  }, [url]);
  return html`<img ref=${image} class="waiting" alt="" decoding="async" draggable=${false} />`;
}

/** Do something in the queue of tiles; null until it is done.
 * @template T @param {() => Promise<T>} make @param {() => void} fail @returns {T | null} */
function useQueued(make, fail) {
  const [value, setValue] = useState(/** @type {T | null} */ (null));
  useEffect(() => {
    let left = false;
    const cancel = queue(() =>
      make().then(
        (made) => left || setValue(() => made),
        () => left || fail(),
      ),
    );
    return () => {
      left = true;
      cancel();
    };
  }, []);
  return value;
}

/** @param {{asset: Asset, fail: () => void}} properties */
function Wave({ asset, fail }) {
  const levels = useQueued(() => peaks(asset, 44, SOUND_LIMIT), fail);
  return levels ? h(Bars, { levels }) : html`<span></span>`;
}

/** A waveform. @param {{levels: number[], played?: number}} properties */
export function Bars({ levels, played }) {
  return html`<svg class="wave" viewBox=${`0 0 ${levels.length * 4} 60`} preserveAspectRatio="none" aria-hidden="true">
    ${levels.map((level, k) => {
      const height = Math.max(2, level * 55);
      const late = played !== undefined && k / levels.length > played;
      return html`<rect key=${k} class=${late ? "late" : undefined} x=${k * 4 + 0.7} y=${(60 - height) / 2} width="2.4" height=${height} rx="1.2" />`;
    })}</svg>`;
}

/** @param {{asset: Asset, fail: () => void}} properties */
function Lines({ asset, fail }) {
  const text = useQueued(() => beginning(asset), fail);
  const lines = (text ?? "").split("\n", 9).map((line) =>
    visible(line.slice(0, 60))
      .replace(/U\+000D$/, "")
      .replace(/U\+0009/g, "  "),
  );
  const json = asset.content_type.includes("json");
  return html`<pre aria-hidden="true">${lines.map((line, k) => html`<span key=${k}>${json ? coloured(line) : line}${"\n"}</span>`)}</pre>`;
}

const TOKEN = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)/g;

/** Split a line of JSON into names, values and the rest. @param {string} line */
export function coloured(line) {
  const parts = [];
  let last = 0;
  for (const found of line.matchAll(TOKEN)) {
    parts.push(line.slice(last, found.index));
    const [all, text, colon] = found;
    parts.push(colon ? html`<i>${text}</i>` : html`<u>${all}</u>`);
    if (colon) parts.push(colon);
    last = found.index + all.length;
  }
  parts.push(line.slice(last));
  return parts;
}

/** @param {{asset: Asset}} properties */
function Badge({ asset }) {
  const kind = group(asset.content_type);
  if (asset.deleted_at) return html`<span class="badge">Deleted</span>`;
  if (asset.duration && (kind === "video" || kind === "audio")) {
    const icon = kind === "video" ? "play" : "audio-lines";
    return html`<span class="badge"><span class="vh">Length</span>${h(Icon, { name: icon })}${length(asset.duration)}</span>`;
  }
  if (kind === "video") return html`<span class="badge">${h(Icon, { name: "play" })}</span>`;
  if (kind === "model" || kind === "other" || kind === "doc") return html`<span class="badge">${ending(asset)}</span>`;
  return null;
}

/** GLB, PDF: the end of the name, or of the media type. @param {Asset} asset */
function ending(asset) {
  const found = /\.([a-z0-9]{1,5})$/i.exec(asset.name);
  return (found ? found[1] : (asset.content_type.split(/[/.+-]/).pop() ?? "")).slice(0, 8).toUpperCase();
}

/** The name, and what made it. @param {{asset: Asset}} properties */
export function Caption({ asset }) {
  const kind = group(asset.content_type);
  const by = asset.node_id ?? (kind === "folder" ? "Folder" : (asset.job_id ?? asset.workflow_id ?? asset.content_type));
  return html`<div class="cap"><div class="name">${h(Name, { name: asset.name })}</div>
    <div class="meta">${h(Icon, { name: ICON[kind], color: `var(--m-${kind})` })}<bdi class="cut">${visible(by)}</bdi>
    ${kind !== "folder" && html`<span class="sep">·</span><span class="num">${bytes(asset.size)}</span>`}</div></div>`;
}
