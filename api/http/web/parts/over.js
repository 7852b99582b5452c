// What floats over every screen: menus, a dialog, short messages with at most one action, what stays in the corner,
// and a line while the server does not answer, is busy, or has tables behind its log.
import { behind, endPauses, nextTry, offlineSince, pause, reason, send } from "../core/api.js";
import { counted, time } from "../core/format.js";
import { h, html, signal, useEffect, useId, useLayoutEffect, useRef, useState } from "../core/html.js";
import { eventsAfter, head } from "../core/live.js";
import { useReturn } from "../core/rows.js";
import { Icon, IconButton, Problem } from "./basic.js";

/** @type {import("../core/html.js").Signal<{component: any, properties: any} | null>} */
const shown = signal(null);

/** Show a dialog over any screen; it gets `close`.
 * @template P @param {(properties: P & {close: () => void}) => any} component @param {P} properties */
export const show = (component, properties) => void (shown.value = { component, properties });

/** Close the dialog. */
export const hide = () => void (shown.value = null);

/** The dialog that `show` opened. */
export function Shown() {
  const open = shown.value;
  return open && h(open.component, { ...open.properties, close: hide });
}

/** A modal dialog on the browser's own <dialog>: Escape closes it, focus returns to where it was.
 * @param {{title: string, close: () => void, wide?: boolean, hideTitle?: boolean, children?: any}} properties */
export function Dialog({ title, close, wide, hideTitle, children }) {
  const box = useRef(null);
  const id = useId();
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const element = box.current;
    element.showModal();
    /** @type {HTMLElement | null} */ (element.querySelector("input:not([type=file]), .primary, .danger"))?.focus();
    return () => {
      element.close(); // until then nothing outside can have the focus
      before?.focus?.();
    };
  }, []);
  return html`<dialog ref=${box} class=${wide ? "dialog wide" : "dialog"} aria-labelledby=${id}
    onCancel=${(event) => {
      event.preventDefault();
      close();
    }}
    onClick=${(event) => event.target === box.current && close()}>
    <div class="dialog-body">
      <header class=${hideTitle ? "vh" : ""}><h2 id=${id}>${title}</h2>
        ${h(IconButton, { icon: "x", label: "Close", act: close })}</header>
      ${children}
    </div></dialog>`;
}

/** Ask before something happens. @param {{title: string, action: string, act: () => void, close: () => void, bad?: boolean, children?: any}} properties */
export function Confirm({ title, action, act, close, bad, children }) {
  return h(
    Dialog,
    { title, close },
    html`<div class="confirm">${children}
    <footer><button class="btn" onClick=${close}>Cancel</button>
    <button class=${bad ? "btn danger" : "btn primary"} onClick=${() => {
      close();
      act();
    }}>${action}</button></footer></div>`,
  );
}

/** @typedef {{id: number, text: any, action?: string, act?: () => void, bad?: boolean}} Message */

/** @type {import("../core/html.js").Signal<Message[]>} */
const messages = signal([]);
let last = 0;

/** Show a message for ten seconds, or until the function that is returned takes it away.
 * @param {any} text @param {{action?: string, act?: () => void, bad?: boolean}} [options] */
export function toast(text, options = {}) {
  const id = ++last;
  messages.value = [...messages.value, { id, text, ...options }];
  setTimeout(() => dismiss(id), 10_000);
  return () => dismiss(id);
}

/** Show what went wrong, and offer to try again what a repetition can mend.
 * @param {any} error @param {() => void} act */
export function toastError(error, act) {
  const isRefused = error.status < 500 && !/rate-limited|version-conflict/.test(error.slug);
  toast(h(Problem, { error }), { bad: true, ...(isRefused ? {} : { action: "Try again", act }) });
}

/** @param {number} id */
function dismiss(id) {
  messages.value = messages.value.filter((message) => message.id !== id);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">${messages.value.map(
    (message) => html`
    <div key=${message.id} class=${message.bad ? "toast bad" : "toast"}><span>${message.text}</span>
      ${
        message.action &&
        html`<button class="btn bare small" onClick=${() => {
          dismiss(message.id);
          message.act?.();
        }}>${message.action}</button>`
      }
    </div>`,
  )}</div>`;
}

/** A component that stays in the corner, such as uploads under way.
 * @type {import("../core/html.js").Signal<((properties: {}) => any) | null>} */
export const corner = signal(null);

export const Corner = () => corner.value && h(corner.value, {});

/** The line above every screen. */
export function Waiting() {
  const since = offlineSince.value;
  const until = nextTry.value;
  const lost = useRef(0);
  useEffect(() => void (since && (lost.current = head.value)), [since]);
  useReturn(() => void greet(lost.current));
  useEffect(catchUp, [behind.value?.path]);
  const text = since ? `No connection since ${time(new Date(since).toISOString())}. Showing what was loaded.` : behind.value ? lag(behind.value.position) : until ? reason.value : "";
  return html`<div class=${text ? "strip warn" : "vh"}><span role="status">${text}</span>${until > 0 && (since || !behind.value) && h(Countdown, { until })}</div>`;
}

/** @param {number} position of the tables, 0 where it is unknown */
function lag(position) {
  const events = position && head.value - position;
  return `The tables are ${events > 0 ? `${counted(events, "event")} behind` : "behind the log"}. Showing what they have; waiting.`;
}

/** When requests are sent again. It is not in the live region, since it changes each second. @param {{until: number}} properties */
function Countdown({ until }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<span>Trying again in ${Math.max(1, Math.ceil((until - now) / 1000))} s.</span><button class="btn small" onClick=${endPauses}>Now</button>`;
}

/** Ask for what was behind until it is not. */
function catchUp() {
  const abort = new AbortController();
  const { signal } = abort;
  const path = behind.value?.path;
  const ask = async () => {
    for (let ms = 1000; path && !signal.aborted; ms = Math.min(2 * ms, 30_000)) {
      await pause(ms, signal);
      if (!signal.aborted) await send(path, { signal }).catch(() => {});
    }
  };
  ask();
  return () => abort.abort();
}

/** Say what was recorded while the server did not answer. @param {number} after the last event before */
async function greet(after) {
  const n = after ? await eventsAfter(after).catch(() => -1) : -1;
  const events = n >= 1000 ? "1,000 or more events" : counted(n, "event");
  toast(n < 1 ? "Connected." : `Connected. ${events} ${n === 1 ? "was" : "were"} recorded meanwhile.`);
}

/** @typedef {{label: string, icon?: string, act?: () => void, href?: string, download?: string, end?: string, bad?: boolean, checked?: boolean} | "line"} Item */

/** A button that opens a menu: arrows move, Escape closes and gives the focus back.
 * @param {{label: any, name: string, items: Item[], kind?: string, start?: boolean}} properties
 * label: what the button shows; name: what it is called; kind: its classes */
export function Menu({ label, name, items, kind = "btn icon", start }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const box = useRef(null);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("[aria-haspopup]")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const away = (/** @type {Event} */ event) => box.current?.contains(event.target) || setOpen(false);
    box.current?.querySelector("[role^=menuitem]")?.focus();
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  const keys = (/** @type {KeyboardEvent} */ event) => moveInside(event, box.current, close);
  return html`<span class="pop" ref=${box} onKeyDown=${open ? keys : undefined}>
    <button class=${kind} aria-label=${name} title=${name} aria-haspopup="menu" aria-expanded=${open} aria-controls=${open ? id : undefined} onClick=${() => setOpen(!open)}>${label}</button>
    ${
      open &&
      html`<div id=${id} class=${`menu${start ? " start" : ""}`} role="menu" aria-label=${name}>
      ${items.map((item, k) => (item === "line" ? html`<hr key=${k} />` : h(Choice, { key: item.label, item, close })))}</div>`
    }</span>`;
}

/** @param {{item: Exclude<Item, "line">, close: () => void}} properties */
function Choice({ item, close }) {
  const inside = html`${item.icon && h(Icon, { name: item.icon })}<span>${item.label}</span>
    ${(item.end || item.checked) && html`<span class="end">${item.checked ? h(Icon, { name: "check", small: true }) : item.end}</span>`}`;
  const act = () => {
    close();
    item.act?.();
  };
  const role = item.checked === undefined ? "menuitem" : "menuitemradio";
  if (item.href) return html`<a role=${role} tabindex="-1" href=${item.href} download=${item.download} onClick=${act}>${inside}</a>`;
  return html`<button role=${role} tabindex="-1" aria-checked=${item.checked} class=${item.bad ? "bad" : undefined} onClick=${act}>${inside}</button>`;
}

/** @param {KeyboardEvent} event @param {HTMLElement | null} box @param {() => void} close */
function moveInside(event, box, close) {
  const items = [...(box?.querySelectorAll("[role^=menuitem]") ?? [])].map((item) => /** @type {HTMLElement} */ (item));
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (to !== undefined) items.at(to % items.length)?.focus();
  else if (event.key !== "Enter" && event.key !== " ") return;
  if (event.key !== "Tab" && event.key !== "Enter" && event.key !== " ") event.preventDefault();
  event.stopPropagation();
}
