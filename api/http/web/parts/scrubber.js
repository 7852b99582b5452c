// The scrubber of a replay: a slider over the events, with their density above it.
import { h, html, useMemo, useRef } from "../core/html.js";
import { histogram, nearest } from "../core/lanes.js";

const PARTS = 110;

/** @param {{xs: number[], at: number, total: number, move: (n: number) => void, words: string}} properties */
export function Scrubber({ xs, at, total, move, words }) {
  const box = useRef(null);
  const here = xs[at - 1] ?? 0;
  const to = (/** @type {PointerEvent} */ event) => {
    const rect = box.current.getBoundingClientRect();
    move(nearest(xs, (event.clientX - rect.left) / rect.width) + 1);
  };
  const down = (/** @type {PointerEvent} */ event) => {
    box.current.setPointerCapture(event.pointerId);
    to(event);
  };
  return html`<div class="scrub" role="slider" tabindex="0" aria-label="Position" aria-valuemin="1" aria-valuemax=${total} aria-valuenow=${at}
    aria-valuetext=${words} ref=${box} onPointerDown=${down} onPointerMove=${(event) => event.buttons && to(event)}>
    ${h(Density, { xs, here })}<div class="rail2"></div><div class="done" style=${{ width: `${here * 100}%` }}></div><div class="knob" style=${{ left: `${here * 100}%` }}></div></div>`;
}

/** @param {{xs: number[], here: number}} properties */
function Density({ xs, here }) {
  const counts = useMemo(() => histogram(xs, PARTS), [xs]);
  const most = Math.max(...counts, 1);
  return html`<svg viewBox=${`0 0 ${PARTS} 33`} preserveAspectRatio="none" aria-hidden="true">${counts.map((n, k) => {
    const height = n ? 3 + (n / most) * 25 : 0;
    return html`<rect key=${k} class=${k / PARTS < here ? "past" : undefined} x=${k + 0.12} y=${30 - height} width=".76" height=${height} />`;
  })}</svg>`;
}
