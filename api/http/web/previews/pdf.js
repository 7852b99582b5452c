// A PDF in the browser's own viewer, on a blob, so that its scripts run nowhere near this page.
import { visible } from "../core/format.js";
import { html, useEffect } from "../core/html.js";
import { useContent, useSource } from "./content.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail }) {
  const content = useContent(asset, url, true);
  const address = useSource(content, fail, "application/pdf");
  const check = (/** @type {ArrayBuffer} */ head) => new TextDecoder("latin1").decode(head).includes("%PDF-") || fail("No preview: this is not a PDF.");
  useEffect(() => void content.part(0, 1024).then(check, () => {}), [content]);
  return html`<div class="viewer document">${address && html`<iframe src=${address} title=${visible(asset.name)}></iframe>`}</div>`;
}
