// A content without a preview: its kind, and its first 512 bytes.
import { bytes } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { download } from "../parts/actions.js";
import { Icon } from "../parts/basic.js";
import { Face } from "../parts/tile.js";
import { useContent } from "./content.js";
import { useSwipe } from "./swipe.js";

const SHOWN = 512;
const WIDTH = 16;

/** @param {Uint8Array} row @param {number} at */
function line(row, at) {
  const hex = [...row].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = [...row].map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
  return `${at.toString(16).padStart(4, "0")}  ${hex.padEnd(WIDTH * 3)} ${text}`;
}

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, step }) {
  const swipe = useSwipe(step);
  const content = useContent(asset, url);
  const [body, setBody] = useState(new Uint8Array());
  useEffect(() => {
    if (!asset.get_url || !asset.size) return;
    content.part(0, SHOWN).then(
      (got) => setBody(new Uint8Array(got).subarray(0, SHOWN)),
      () => {},
    );
  }, [content]);
  const rows = Array.from({ length: Math.ceil(body.length / WIDTH) }, (_, k) => line(body.subarray(k * WIDTH, (k + 1) * WIDTH), k * WIDTH));
  const why = asset.thumb_url ? "Too large, or of a kind that browsers do not show: this is its thumbnail." : asset.get_url ? "There is no preview of this kind of file." : "This asset has no bytes.";
  return html`<div class="viewer none" ...${swipe}><div class="refused">${h(Face, { asset, width: 240, plain: true })}<p>${why}</p>
    ${asset.get_url && html`<button class="btn" onClick=${() => download([{ ...asset, get_url: url }])}>${h(Icon, { name: "download" })}Download ${bytes(asset.size)}</button>`}</div>
    ${!asset.thumb_url && rows.length > 0 && html`<pre class="hex" tabindex="0" aria-label="First bytes">${rows.join("\n")}</pre>`}</div>`;
}
