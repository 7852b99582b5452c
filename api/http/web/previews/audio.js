// A sound: the browser's own player under a waveform, which seeks.
import { length, visible } from "../core/format.js";
import { h, html, useEffect, useRef, useState } from "../core/html.js";
import { peaks } from "../core/thumbs.js";
import { Bars } from "../parts/tile.js";
import { useContent, useSource } from "./content.js";

const LIMIT = 20_000_000; // bytes that are decoded for the waveform
const BARS = 160;

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail, measure }) {
  const sound = useRef(null);
  const source = useSource(useContent(asset, url), fail);
  const [levels, setLevels] = useState(/** @type {number[] | null} */ (null));
  const [played, setPlayed] = useState(0);
  useEffect(() => {
    let left = false;
    peaks(asset, BARS, LIMIT).then(
      (found) => left || setLevels(found),
      () => {},
    );
    return () => void (left = true);
  }, [url]);
  const seek = (/** @type {MouseEvent} */ event) => {
    const player = sound.current;
    const area = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    if (Number.isFinite(player.duration)) player.currentTime = ((event.clientX - area.left) / area.width) * player.duration;
  };
  const known = (/** @type {Event} */ event) => {
    const { duration } = /** @type {HTMLAudioElement} */ (event.currentTarget);
    if (Number.isFinite(duration)) measure?.(length(duration));
  };
  const moved = (/** @type {Event} */ event) => {
    const player = /** @type {HTMLAudioElement} */ (event.currentTarget);
    setPlayed(player.currentTime / (player.duration || 1));
  };
  return html`<div class="viewer sound"><div class="wave-box" onClick=${seek}>${levels && h(Bars, { levels, played })}</div>
    <audio ref=${sound} src=${source || undefined} controls preload="metadata" aria-label=${visible(asset.name)} onLoadedMetadata=${known} onTimeUpdate=${moved}
      onError=${() => fail("No preview: this browser cannot play the sound.")}></audio></div>`;
}
