// The frame around every screen: rail with links and state of the ledger, tabs on phones.
import { fork, get, offlineSince } from "../core/api.js";
import { bytes, count, visible } from "../core/format.js";
import { h, html, signal, useEffect } from "../core/html.js";
import { head, liveState, onEvents } from "../core/live.js";
import { isDark, pinned, seen, switchTheme } from "../core/prefs.js";
import { place } from "../core/route.js";
import { actFor, session, signOut } from "../core/session.js";
import { Brand, Icon, IconButton, Time } from "./basic.js";
import { show } from "./over.js";

const LINKS = [
  { icon: "images", href: "/", name: "Assets" },
  { icon: "layers", href: "/jobs", name: "Jobs" },
  { icon: "chart-column", href: "/usage", name: "Usage" },
  { icon: "book-open", href: "/ledger", name: "Ledger" },
];

/** Live assets and bytes of the caller. */
const totals = signal({ count: 0, bytes: 0 });
/** @type {import("../core/html.js").Signal<Asset[]>} */
const folders = signal([]);

async function refresh() {
  const answer = await get("/api/assets/usage", { group_by: "content_type", page_size: 1000 });
  /** @type {UsageRow[]} */
  const rows = answer.usage;
  totals.value = { count: rows.reduce((n, r) => n + r.count, 0), bytes: rows.reduce((n, r) => n + r.bytes, 0) };
  folders.value = (await get("/api/assets", { content_type: "folder", parent_id: session.value?.user_id, page_size: 12, sort: "name" })).assets;
}

/** @param {string} href */
const isCurrent = (href) => (href === "/" ? place.value.path === "/" || place.value.path.startsWith("/assets/") : place.value.path.startsWith(href));

/** Show the keys. */
export const help = () => void import("./help.js").then((module) => show(module.Help, {}));

/** Open the dialog "Jump to". */
export const jump = () => void import("./jump.js").then((module) => show(module.Jump, {}));

/** @param {{children: any}} properties */
export function Shell({ children }) {
  useEffect(() => {
    refresh().catch(() => {});
    let due = 0;
    return onEvents(() => {
      clearTimeout(due);
      due = setTimeout(() => refresh().catch(() => {}), 1000);
    });
  }, []);
  return html`<div class="app">
    <a class="skip" href="#main">Skip to content</a>
    ${h(Rail, {})}${children}${h(Tabs, {})}</div>`;
}

function Rail() {
  return html`<nav class="nav" aria-label="Main">
    <a class="brand" href="/">${h(Brand, {})}</a>
    <button class="jump" onClick=${jump}>${h(Icon, { name: "search", small: true })}<span>Jump to…</span><kbd>Ctrl K</kbd></button>
    <ul>${LINKS.map(
      (link) => html`<li key=${link.href}><a href=${link.href} title=${link.name} aria-current=${isCurrent(link.href) ? "page" : undefined}>
      ${h(Icon, { name: link.icon })}<span>${link.name}</span>${link.href === "/" && html`<span class="n num">${count(totals.value.count)}</span>`}</a></li>`,
    )}</ul>
    ${
      pinned.value.length > 0 &&
      html`<h2>Pinned</h2><ul>${pinned.value.map(
        (pin) => html`
      <li class="small" key=${pin.href}><a href=${pin.href}>${h(Icon, { name: "pin" })}<bdi class="cut">${pin.name}</bdi></a></li>`,
      )}</ul>`
    }
    ${
      folders.value.length > 0 &&
      html`<h2>Folders</h2><ul>${folders.value.map(
        (folder) => html`
      <li class="small" key=${folder.id}><a href=${`/?parent_id=${folder.id}`}>${h(Icon, { name: "folder" })}<bdi class="cut">${visible(folder.name)}</bdi></a></li>`,
      )}</ul>`
    }
    ${h(Foot, {})}</nav>`;
}

const LIVE = { live: "Live", polling: "Asking every 10 s", lost: "Connecting", off: "Paused" };

function Foot() {
  const me = session.value;
  const state = offlineSince.value ? "Offline" : LIVE[/** @type {keyof typeof LIVE} */ (liveState.value)];
  const live = liveState.value === "live" && !offlineSince.value;
  return html`<div class="foot">
    <div class="row" title=${bytes(totals.value.bytes)}><span class=${live ? "dot live" : "dot"}></span><span>${state}</span>
      ${head.value > 0 && html`<span class="end num">${count(head.value)} events</span>`}</div>
    ${seen.value && !fork.value && html`<a class="row" href="/ledger" title=${`${count(seen.value.size)} events, signed`}>${h(Icon, { name: "shield-check", small: true })}<span>Log verified</span><span class="end">${h(Time, { at: seen.value.seen, form: "ago" })}</span></a>`}
    <div class="row">${h(Icon, { name: "user", small: true })}<bdi class="cut">${me ? `${me.auth === "local" ? "Local, user " : ""}${visible(me.for_user ? `${me.self} for ${me.for_user}` : me.name || me.self)}` : "Signed out"}</bdi>
      <span class="end">
        ${me?.for_user && h(IconButton, { icon: "undo-2", label: "Act for yourself again", act: () => actFor(me.self) })}
        ${me && me.auth !== "local" && h(IconButton, { icon: "log-out", label: "Sign out", act: signOut })}
        ${h(IconButton, { icon: isDark() ? "sun" : "moon", label: "Change the theme", act: switchTheme })}</span></div>
  </div>`;
}

function Tabs() {
  return html`<nav class="tabs" aria-label="Main, short">${LINKS.map(
    (link) => html`
    <a key=${link.href} href=${link.href} aria-current=${isCurrent(link.href) ? "page" : undefined}>${h(Icon, { name: link.icon })}${link.name}</a>`,
  )}
    <button onClick=${jump}>${h(Icon, { name: "search" })}Jump</button></nav>`;
}
