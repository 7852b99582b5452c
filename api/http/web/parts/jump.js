// Jump to: assets by their words, jobs, nodes, pasted ids and positions, pages and commands.
import { get, part } from "../core/api.js";
import { count, visible } from "../core/format.js";
import { Dialog } from "./over.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { pinned, switchTheme } from "../core/prefs.js";
import { changed, go, place } from "../core/route.js";
import { actFor, can } from "../core/session.js";
import { Icon } from "./basic.js";
import { askUpload } from "./dropping.js";
import { help } from "./shell.js";
import { Face } from "./tile.js";

/** @typedef {{group: string, name: string, icon: string, href?: string, act?: () => void, end?: string, asset?: any}} Hit */

/** Keep the present view in the rail, or leave it out. */
function pin() {
  const { path, query } = place.value;
  const here = changed(path === "/" ? { at: null } : {});
  const others = pinned.value.filter(({ href }) => href !== here);
  const name = [document.title.replace(" · Asset Ledger", ""), ...[...query].filter(([key]) => key !== "at").map((pair) => visible(pair.join(" ")))].join(", ");
  pinned.value = others.length < pinned.value.length ? others : [...others, { href: here, name }];
}

/** @type {Hit[]} */
const PLACES = [
  { group: "Go to", name: "Assets", icon: "images", href: "/", end: "g a" },
  { group: "Go to", name: "Jobs", icon: "layers", href: "/jobs", end: "g j" },
  { group: "Go to", name: "Failed jobs", icon: "circle-x", href: "/jobs?status=failed" },
  { group: "Go to", name: "Usage", icon: "chart-column", href: "/usage", end: "g u" },
  { group: "Go to", name: "Ledger", icon: "book-open", href: "/ledger", end: "g l" },
  { group: "Do", name: "Upload files", icon: "upload", act: askUpload },
  { group: "Do", name: "Pin this view, or take its pin away", icon: "pin", act: pin },
  { group: "Do", name: "Change the theme", icon: "sun", act: switchTheme, end: "t" },
  { group: "Do", name: "Show the keys", icon: "keyboard", act: help, end: "?" },
];

/** What a pasted text names at once. @param {string} text @returns {Hit[]} */
function direct(text) {
  if (/^[0-9a-f]{32}$/.test(text)) return [{ group: "Open", name: "The asset with this id", icon: "file", href: `/assets/${text}` }];
  if (/^(sha256:)?[0-9a-f]{64}$/.test(text)) return [{ group: "Open", name: "Assets with these bytes", icon: "hash", href: `/?digest=${text.startsWith("sha256:") ? text : `sha256:${text}`}` }];
  return [];
}

/** @param {string} text @param {AbortSignal} signal @returns {Promise<Hit[]>} */
async function find(text, signal) {
  const quiet = (/** @type {Promise<any>} */ asked) => asked.catch(() => null);
  const values = (/** @type {string} */ field) => quiet(get("/api/assets/values", { field, prefix: text, limit: 4 }, { signal }));
  const position = /^\d+$/.test(text) ? quiet(get("/api/events", { after: Number(text) - 1, limit: 1 }, { signal })) : null;
  const [users, found, jobs, nodes, workflows, event] = await Promise.all([can("admin") && quiet(get("/api/users", { prefix: text, page_size: 4 }, { signal })), quiet(get("/api/assets/search", { query: text, page_size: 5 }, { signal })), values("job_id"), values("node_id"), values("workflow_id"), position]);
  const named = (/** @type {any} */ answer, /** @type {string} */ group, /** @type {string} */ icon, /** @type {string} */ path) => (answer?.values ?? []).map((/** @type {any} */ each) => ({ group, name: each.value, icon, href: path + part(each.value), end: count(each.count) }));
  return [
    ...(event?.events ?? [])
      .filter((/** @type {any} */ each) => String(each.position) === text)
      .map((/** @type {any} */ each) => ({ group: "Open", name: `Event ${text}: ${each.topic}`, icon: "history", href: each.job_id ? `/jobs/${part(each.job_id)}?at=${text}` : each.asset_id ? `/assets/${each.asset_id}` : "/ledger" })),
    ...(found?.assets ?? []).map((/** @type {any} */ asset) => ({ group: "Assets", name: asset.name, icon: "file", href: `/assets/${asset.id}`, end: asset.node_id ?? "", asset })),
    ...named(jobs, "Jobs", "layers", "/jobs/"),
    ...named(nodes, "Nodes", "workflow", "/nodes/"),
    ...named(workflows, "Workflows", "waypoints", "/workflows/"),
    ...(users?.users ?? []).map((/** @type {any} */ each) => ({ group: "Act for", name: each.user_id, icon: "user", act: () => actFor(each.user_id), end: count(each.assets) })),
  ];
}

/** @param {{close: () => void}} properties */
export function Jump({ close }) {
  const [text, setText] = useState("");
  const [hits, setHits] = useState(PLACES);
  const [on, setOn] = useState(0);
  useEffect(() => {
    const words = text.trim();
    const fixed = PLACES.filter((hit) => hit.name.toLowerCase().includes(words.toLowerCase()));
    setOn(0);
    if (!words) return setHits(PLACES);
    const abort = new AbortController();
    const timer = setTimeout(
      () =>
        find(words, abort.signal).then(
          (found) => abort.signal.aborted || setHits([...direct(words), ...found, ...fixed]),
          () => {},
        ),
      80,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  const open = (/** @type {Hit | undefined} */ hit) => {
    if (!hit) return;
    close();
    hit.act?.();
    if (hit.href) go(hit.href);
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") open(hits[on]);
    else if (by && hits.length) setOn((on + by + hits.length) % hits.length);
    else return;
    event.preventDefault();
  };
  return h(
    Dialog,
    { title: "Jump to", close, wide: true, hideTitle: true },
    html`<div class="jumpbox">
    <input role="combobox" aria-expanded="true" aria-controls="hits" aria-activedescendant=${hits.length ? `hit-${on}` : undefined} aria-label="Jump to" placeholder="Jump to an asset, job, node, id or position" value=${text}
      onInput=${(event) => setText(/** @type {HTMLInputElement} */ (event.target).value)} onKeyDown=${keys} />
    <ul id="hits" role="listbox" aria-label="Found">${hits.map(
      (hit, k) => html`${hit.group !== hits[k - 1]?.group && html`<li role="presentation" class="quiet">${hit.group}</li>`}
      <li id=${`hit-${k}`} role="option" aria-selected=${k === on} onClick=${() => open(hit)} onMouseMove=${() => k !== on && setOn(k)}>
        ${hit.asset ? h(Face, { asset: hit.asset, width: 32, plain: true }) : h(Icon, { name: hit.icon })}<bdi class="cut">${visible(hit.name)}</bdi>${hit.end && html`<span class="end num">${visible(hit.end)}</span>`}</li>`,
    )}
      ${!hits.length && html`<li class="quiet" role="presentation">Nothing has all of these words.</li>`}</ul></div>`,
  );
}
