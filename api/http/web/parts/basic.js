// What every screen is made of: icons, texts from elsewhere, times, states, and what is shown instead of data.
import { OfflineError, returns } from "../core/api.js";
import { ago, clock, short, time, visible } from "../core/format.js";
import { Fragment, h, html, signal, useEffect, useState } from "../core/html.js";
import { useReturn } from "../core/rows.js";
import { curl } from "../core/session.js";

const SPRITE = new URL("../icons.svg", import.meta.url).href;

/** @param {{name: string, small?: boolean, label?: string, color?: string}} properties */
export function Icon({ name, small, label, color }) {
  const role = label ? "img" : undefined;
  return html`<svg class=${small ? "i s" : "i"} viewBox="0 0 24 24" role=${role} aria-label=${label}
    aria-hidden=${label ? undefined : "true"} style=${color ? { color } : undefined}><use href=${`${SPRITE}#${name}`} /></svg>`;
}

/** The product's name and its mark: a page whose lines close into a seal. */
export const Brand = () => html`<img src=${new URL("../favicon.svg", import.meta.url).href} alt="" /><span>Asset Ledger</span>`;

/** A name cut in the middle; isolated, so that its direction changes nothing around it.
 * @param {{name: string, tail?: number}} properties */
export function Name({ name, tail = 8 }) {
  const shown = visible(name);
  const cut = Math.max(0, shown.length - tail);
  return html`<bdi class="mid" title=${shown}><span>${shown.slice(0, cut)}</span><span>${shown.slice(cut)}</span></bdi>`;
}

/** Put a text on the clipboard. A page by plain http from afar has only that of a selection.
 * @param {string} text */
export async function clip(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = document.createElement("textarea");
  area.value = text;
  (before?.closest("dialog") ?? document.body).append(area); // outside a dialog nothing can be selected
  area.select();
  document.execCommand("copy");
  area.remove();
  before?.focus();
}

/** A button that shows an icon alone. @param {{icon: string, label: string, act: (() => void) | undefined, kind?: string}} properties
 * act: nothing disables it; kind: its classes */
export const IconButton = ({ icon, label, act, kind = "btn bare small icon" }) => html`<button class=${kind} aria-label=${label} title=${label} disabled=${!act} onClick=${act}>${h(Icon, { name: icon, small: kind.includes("small") })}</button>`;

/** A button that copies a text. @param {{text: string, label?: string}} properties */
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await clip(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return h(IconButton, { icon: done ? "check" : "copy", label: done ? "Copied" : label, act: copy });
}

/** A button that copies the request of what is shown.
 * @param {{path: string, params?: import("../core/api.js").Params, type?: string}} properties as of `curl` */
export const Curl = ({ path, params, type }) => h(Copy, { text: curl(path, params, type), label: "Copy as curl" });

/** An id or digest, shortened, with a button that copies the whole. @param {{id: string}} properties */
export function Id({ id }) {
  return html`<span class="id"><bdi class="mono cut" title=${visible(id)}>${short(visible(id))}</bdi>${h(Copy, { text: id })}</span>`;
}

/** Changes every ten seconds, so that what is said of times is true on a page that stays open. */
export const tens = signal(0);
setInterval(() => document.hidden || (tens.value += 1), 10_000);

/** A time in the reader's zone; the title has UTC. @param {{at: string, form?: "time" | "ago" | "clock"}} properties */
export function Time({ at, form = "time" }) {
  if (form === "ago") tens.value;
  const text = form === "ago" ? ago(at) : form === "clock" ? clock(at) : time(at);
  return html`<time class="num" dateTime=${at} title=${at}>${text}</time>`;
}

/** @type {Record<string, [string, string, string]>} */
const FORMS = {
  completed: ["ok", "circle-check", "Completed"],
  failed: ["bad", "circle-x", "Failed"],
  running: ["accent", "activity", "Running"],
  cancelled: ["warn", "minus", "Cancelled"],
  stale: ["warn", "clock", "Stale"],
  lost: ["bad", "circle-x", "Lost"],
  untracked: ["plain", "info", "Untracked"],
};

/** The word of a status of a job. @param {string} status */
export const wordOf = (status) => (FORMS[status] ?? FORMS.untracked)[2];

/** @param {{status: string}} properties */
export function Status({ status }) {
  const [kind, icon, word] = FORMS[status] ?? FORMS.untracked;
  return html`<span class=${`pill ${kind}`}>${h(Icon, { name: icon, small: true })}${word}</span>`;
}

/** Name the view in the title of the page. @param {string} title */
export const useTitle = (title) => useEffect(() => void (document.title = `${title} · Asset Ledger`), [title]);

/** The main part of a screen whose heading is for screen readers alone. @param {{title?: string, children?: any}} properties */
export const Page = ({ title = "Loading", children }) => html`<main class="main" id="main"><h1 class="vh">${title}</h1>${children}</main>`;

/** @param {{icon?: string, title: string, children?: any}} properties */
export function Empty({ icon = "images", title, children }) {
  return html`<div class="empty">${h(Icon, { name: icon })}<p class="title">${title}</p>${children}</div>`;
}

/** What a refusal or fault says, with the request id to copy. @param {{error: unknown}} properties */
export function Problem({ error }) {
  const { status, slug, requestId: id, message } = /** @type {import("../core/api.js").ApiError} */ (error);
  const isFault = status >= 500 && (!slug || slug === "internal-error");
  return html`<span>${isFault ? "That did not work: a fault of ours." : message}
    ${id && html`<span class="request">Request <span class="mono">${id}</span> ${h(Copy, { text: id, label: "Copy the request id" })}</span>`}</span>`;
}

/** A refusal or fault, with a way to try again; a lost connection is tried again by itself.
 * @param {{error: unknown, retry?: () => void}} properties */
export function Failure({ error, retry }) {
  const isOffline = error instanceof OfflineError;
  useReturn(isOffline && retry);
  return html`<div class="failure" role="alert">
    ${h(Icon, { name: isOffline ? "wifi-off" : "circle-alert" })}
    <p>${h(Problem, { error })}</p>
    ${retry && html`<button class="btn" onClick=${retry}>Try again</button>`}
  </div>`;
}

const PAUSE = 5010; // milliseconds between two announcements: at least 5 s

/** News behind a button, announced at most every five seconds. @param {{text: string, show: () => void}} properties
 * text: such as "3 new"; "" while there is nothing */
export function News({ text, show }) {
  return html`${text && html`<button class="btn primary small fresh num" onClick=${show}>${h(Icon, { name: "arrow-up" })}${text}</button>`}${h(Announced, { text })}`;
}

/** A text for screen readers alone. @param {{text: string}} properties */
export function Announced({ text }) {
  const [said, setSaid] = useState({ text: "", at: -PAUSE });
  useEffect(() => {
    if (text === said.text) return;
    const timer = setTimeout(() => setSaid({ text, at: performance.now() }), said.at + PAUSE - performance.now());
    return () => clearTimeout(timer);
  }, [text, said]);
  return html`<span class="vh" role="status">${said.text}</span>`;
}

/** Grey boxes of the final size, shown after 150 ms. @param {{lines?: number}} properties */
export function Skeleton({ lines = 3 }) {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return shown && html`<div class="skeleton" aria-hidden="true">${Array.from({ length: lines }, (_, k) => html`<i key=${k} />`)}</div>`;
}

/** A component whose module is loaded when it is first drawn. Until then `Frame` holds its place.
 * @template P @param {() => Promise<(properties: P) => any>} load
 * @param {(properties: {children?: any}) => any} [Frame] @returns {(properties: P) => any} */
export function lazy(load, Frame = Fragment) {
  /** @type {((properties: P) => any) | undefined} */
  let View;
  return function Lazy(properties) {
    const [failed, setFailed] = useState(false);
    const [, draw] = useState(0);
    useEffect(() => {
      if (!View)
        load().then(
          (found) => ((View = found), draw(1)),
          () => setFailed(true),
        );
    }, [returns.value]);
    if (View) return h(View, /** @type {any} */ (properties));
    return h(Frame, {}, failed ? h(Empty, { icon: "rotate-ccw", title: "This part could not be loaded." }, html`<p>The server is away, or the console was updated.</p><button class="btn primary" onClick=${() => location.reload()}>Reload</button>`) : h(Skeleton, { lines: 8 }));
  };
}

const small = matchMedia("(max-width: 720px)");

/** Whether the page has the width of a phone. */
export function useSmall() {
  const [is, setIs] = useState(small.matches);
  useEffect(() => {
    const change = () => setIs(small.matches);
    small.addEventListener("change", change);
    return () => small.removeEventListener("change", change);
  }, []);
  return is;
}
