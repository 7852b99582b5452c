// A film in the browser's own player, which asks for ranges.
import { html, useRef } from "../core/html.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail, measure }) {
  const film = useRef(null);
  const known = () => {
    const { videoWidth, videoHeight } = film.current;
    if (videoWidth) measure?.(`${videoWidth} × ${videoHeight}`);
  };
  return html`<div class="viewer film"><video ref=${film} src=${url} controls playsinline loop preload="metadata" aria-label=${asset.name}
    onLoadedMetadata=${known} onError=${() => fail("No preview: this browser cannot play the film.")}></video></div>`;
}
