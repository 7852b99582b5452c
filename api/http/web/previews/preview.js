// The preview of a content, chosen by its media type. Each kind is loaded when it is first needed.
import { bytes, group } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { download } from "../parts/actions.js";
import { Icon, lazy } from "../parts/basic.js";
import { Face } from "../parts/tile.js";

/** @typedef {{asset: Asset, url: string, fail: (why?: string) => void, measure?: (text: string) => void, step?: (by: 1 | -1) => () => void}} PreviewProperties
 * url: of the bytes; fail: shows a download instead; measure: tells "2048 × 1536"; step: to the next asset, or back */

/** @param {() => Promise<{Preview: (properties: PreviewProperties) => any}>} load */
const view = (load) => lazy(async () => (await load()).Preview);
const VIEWS = {
  image: view(() => import("./image.js")),
  svg: view(() => import("./svg.js")),
  video: view(() => import("./video.js")),
  audio: view(() => import("./audio.js")),
  text: view(() => import("./text.js")),
  json: view(() => import("./json.js")),
  csv: view(() => import("./csv.js")),
  pdf: view(() => import("./pdf.js")),
  model: view(() => import("./model.js")),
  none: view(() => import("./none.js")),
};
const LIMITS = /** @type {Record<string, number>} */ ({ image: 50e6, svg: 2e6, json: 2e6, csv: 20e6, pdf: 50e6, model: 50e6 });
const UNSHOWN = /^image\/(tiff|x-|vnd|heic|heif|jxl|jp2)/;

/** Which preview a content gets. @param {Asset} asset @returns {keyof typeof VIEWS} */
export function kindOf(asset) {
  const type = asset.content_type.split(";")[0];
  const kind = group(type);
  const within = (/** @type {string} */ name) => asset.size <= LIMITS[name];
  if (!asset.get_url) return "none";
  if (type === "image/svg+xml") return within("svg") ? "svg" : "text";
  if (kind === "image") return UNSHOWN.test(type) || !within("image") ? "none" : "image";
  if (kind === "video" || kind === "audio") return kind;
  if (type === "application/pdf") return within("pdf") && navigator.pdfViewerEnabled ? "pdf" : "none";
  if (/gltf-binary|\bstl\b/.test(type)) return within("model") ? "model" : "none";
  if (/\bjson$/.test(type)) return within("json") ? "json" : "text";
  if (/csv|tab-separated/.test(type)) return within("csv") ? "csv" : "text";
  return kind === "text" || /ya?ml|xml|sql|javascript|toml|x-sh/.test(type) ? "text" : "none";
}

/** @param {Pick<PreviewProperties, "asset" | "measure" | "step">} properties */
export function Preview({ asset, measure, step }) {
  const url = `${asset.get_url}?version=${asset.version}`; // of this version, also if there is a newer one
  const [failed, setFailed] = useState({ url: "", why: "" });
  if (failed.url === url) return h(Refused, { asset: { ...asset, get_url: url }, why: failed.why });
  const fail = (why = "No preview: the file is broken or of an unknown kind.") => setFailed({ url, why });
  return h(VIEWS[kindOf(asset)], { key: url, asset, url, fail, measure, step });
}

/** What is shown instead of a preview. @param {{asset: Asset, why: string}} properties */
export function Refused({ asset, why }) {
  return html`<div class="refused">${h(Face, { asset, width: 240, plain: true })}<p>${why}</p>
    ${asset.get_url && html`<button class="btn" onClick=${() => download([asset])}>${h(Icon, { name: "download" })}Download ${bytes(asset.size)}</button>`}</div>`;
}
