// A film in the browser's own player, which asks for ranges.
import { visible } from "../core/format.js";
import { html } from "../core/html.js";
import { useContent, useSource } from "./content.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail, measure }) {
  const source = useSource(useContent(asset, url), fail);
  const known = (/** @type {Event} */ event) => {
    const { videoWidth, videoHeight } = /** @type {HTMLVideoElement} */ (event.currentTarget);
    if (videoWidth) measure?.(`${videoWidth} × ${videoHeight}`);
  };
  return html`<div class="viewer film"><video src=${source || undefined} controls playsinline loop preload="metadata" aria-label=${visible(asset.name)}
    onLoadedMetadata=${known} onError=${() => fail("No preview: this browser cannot play the film.")}></video></div>`;
}
