// A text: its first 256 KiB, with numbered lines, and more on demand. HTML is shown as its source.
import { bytes, visible } from "../core/format.js";
import { html, useEffect, useState } from "../core/html.js";
import { useContent } from "./content.js";

const CHUNK = 262_144; // bytes of a range
const LINE = 5_000; // characters of one line that are shown

/** The text of a content up to a number of bytes; more on demand.
 * @param {import("./preview.js").PreviewProperties} properties */
export function useText({ asset, url, fail }) {
  const content = useContent(asset, url);
  const { size } = asset;
  const [loaded, setLoaded] = useState({ text: "", to: 0, decoder: new TextDecoder() });
  const [busy, setBusy] = useState(false);
  const more = async () => {
    if (busy) return;
    setBusy(true);
    try {
      const to = Math.min(size, loaded.to + CHUNK);
      const piece = size ? loaded.decoder.decode(await content.part(loaded.to, to), { stream: to < size }) : "";
      setLoaded({ ...loaded, text: loaded.text + piece, to });
    } catch (error) {
      if (!content.abort.signal.aborted) fail(/** @type {Error} */ (error).message);
    }
    setBusy(false);
  };
  useEffect(() => void more(), [url]);
  return { text: loaded.text, to: loaded.to, all: loaded.to >= size, more, busy };
}

/** A line as it is: tabs stay, other hidden characters are named. @param {string} line */
export const shownLine = (line) => line.slice(0, LINE).replace(/\r$/, "").split("\t").map(visible).join("\t") + (line.length > LINE ? " …" : "");

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const { asset } = properties;
  const { text, all, more, busy, to } = useText(properties);
  const lines = text.replace(/\n$/, "").split("\n");
  return html`<div class="viewer code" tabindex="0" role="group" aria-label="Text"><ol class="lines">${lines.map((line, k) => html`<li key=${k}>${shownLine(line) || " "}</li>`)}</ol>
    ${!all && to > 0 && html`<p class="more-text"><button class="btn" disabled=${busy} onClick=${more}>Load more</button><span class="quiet num">${bytes(to)} of ${bytes(asset.size)}</span></p>`}</div>`;
}
