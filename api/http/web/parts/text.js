// Texts from elsewhere: names cut in the middle, ids to copy, times with the exact value.
import { ago, clock, short, time, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { Icon } from "./icon.js";

/** A name cut in the middle; isolated, so that its direction changes nothing around it.
 * @param {{name: string, tail?: number}} properties */
export function Name({ name, tail = 8 }) {
  const shown = visible(name);
  const cut = Math.max(0, shown.length - tail);
  return html`<bdi class="mid" title=${shown}><span>${shown.slice(0, cut)}</span><span>${shown.slice(cut)}</span></bdi>`;
}

/** A button that copies a text. @param {{text: string, label?: string}} properties */
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button class="btn bare small icon" aria-label=${done ? "Copied" : label} title=${label} onClick=${copy}>
    ${h(Icon, { name: done ? "check" : "copy", small: true })}</button>`;
}

/** An id or digest, shortened, with a button that copies the whole. @param {{id: string}} properties */
export function Id({ id }) {
  return html`<span class="id"><bdi class="mono cut" title=${visible(id)}>${short(visible(id))}</bdi>${h(Copy, { text: id })}</span>`;
}

/** A time in the reader's zone; the title has UTC. @param {{at: string, form?: "time" | "ago" | "clock"}} properties */
export function Time({ at, form = "time" }) {
  const text = form === "ago" ? ago(at) : form === "clock" ? clock(at) : time(at);
  return html`<time class="num" dateTime=${at} title=${at}>${text}</time>`;
}
