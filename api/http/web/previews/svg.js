// An SVG as a picture, in which nothing runs, or as its source.
import { h, html, useState } from "../core/html.js";
import { Preview as Picture } from "./image.js";
import { Preview as Source } from "./text.js";

const VIEWS = { Picture, Source };

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const [view, setView] = useState(/** @type {keyof typeof VIEWS} */ ("Picture"));
  const button = (/** @type {keyof typeof VIEWS} */ name) => html`<button aria-pressed=${view === name} onClick=${() => setView(name)}>${name}</button>`;
  return html`<div class="sub"><div class="seg" role="group" aria-label="View">${button("Picture")}${button("Source")}</div></div>
    ${h(VIEWS[view], { key: view, ...properties })}`;
}
