// One asset at `/assets/{id}`: its preview, what made it, lineage, versions and what they changed.
import { count, day, time, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { advance, beside } from "../core/pages.js";
import { back, changed, go, place, setQuery } from "../core/route.js";
import { useGet } from "../core/rows.js";
import { askDelete, askMove, askTags, download, restore, undo } from "../parts/actions.js";
import { clip, Failure, Icon, IconButton, lazy, Name, Page, Skeleton, useTitle } from "../parts/basic.js";
import { Menu } from "../parts/over.js";
import { Details, Flow, Folders, History, MadeBy, useHistory, useLineage } from "../parts/details.js";
import { Deleted, Metadata, More, useAsset } from "../parts/panel.js";
import { Seal } from "../parts/seal.js";
import { Face } from "../parts/tile.js";
import { Preview } from "../previews/preview.js";

const Changes = lazy(async () => (await import("../previews/compare.js")).Changes);
const Graph = lazy(async () => (await import("../previews/graph.js")).Graph);
const BYTES = new Set(["created", "content_replaced"]);

/** @param {{id: string}} properties */
export function Screen({ id }) {
  const { asset, error, retry } = useAsset(id);
  const events = useHistory(id, asset?.version ?? 0);
  useTitle(asset ? visible(asset.name) : "Asset");
  useKeys({ Escape: () => back("/"), z: undo });
  if (error) return h(Page, { title: "Asset" }, h(Failure, { error, retry }));
  if (!asset) return h(Page, { title: "Asset" }, h(Skeleton, { lines: 8 }));
  return h(Loaded, { key: id, asset, events });
}

/** The asset as it was at a version. @param {Asset} asset @param {number} version @returns {Asset | null} */
function useVersion(asset, version) {
  const now = !version || version === asset.version;
  const { value } = useGet(now ? "" : `/api/assets/${asset.id}`, { version });
  return now ? asset : value;
}

/** @param {{asset: Asset, events: LedgerEvent[] | null}} properties */
function Loaded({ asset, events }) {
  const query = place.value.query;
  const version = Number(query.get("version")) || 0;
  const other = Number(query.get("with")) || 0;
  const tab = other ? "compare" : (query.get("tab") ?? "preview");
  const shown = useVersion(asset, version);
  const { value: lineage, error, retry } = useLineage(asset.id, asset.version, 2);
  const [measures, setMeasures] = useState("");
  const step = (/** @type {1 | -1} */ by) => () => {
    const next = advance(asset.id, by);
    if (next) go(`/assets/${next.id}`, { replace: true });
  };
  const key = (/** @type {1 | -1} */ by, /** @type {string} */ label, /** @type {string} */ icon) => h(IconButton, { icon, label, act: beside(asset.id, by) ? step(by) : undefined, kind: "btn bare icon wide-only" });
  const all = [asset];
  const save = () => download(shown && version ? [{ ...shown, get_url: `${asset.get_url}?version=${version}` }] : all);
  const changes = { d: save, e: () => askTags(all), m: () => askMove(all), Delete: () => askDelete(all) };
  useKeys({ j: step(1), k: step(-1), v: () => document.querySelector(".versions")?.scrollIntoView(), c: () => void clip(asset.id), ...(asset.deleted_at ? {} : changes) }, [asset]);
  const link = (/** @type {string} */ key, /** @type {string} */ name, /** @type {number} */ n) => html`<a href=${changed({ tab: key === "preview" ? null : key, with: null })} aria-current=${tab === key ? "page" : undefined}>${name}${n > 0 && html`<span class="n num">${count(n)}</span>`}</a>`;
  return html`<main class="main asset" id="main"><header class="head">
      <nav class="crumb" aria-label="Where it is"><a href="/">Assets</a> / ${h(Folders, { asset, kind: "cut" })}</nav>
      <div class="title">${h(IconButton, { icon: "chevron-left", label: "Back", act: () => back("/"), kind: "btn bare icon only-small" })}
        <h1>${h(Name, { name: asset.name, tail: 12 })}</h1>${h(Versions, { asset, events, version })}
        <div class="end">${key(-1, "Previous asset", "arrow-up")}${key(1, "Next asset", "arrow-down")}
          ${
            asset.deleted_at
              ? html`<button class="btn" onClick=${() => restore(all)}>${h(Icon, { name: "undo-2" })}Restore</button>`
              : html`
          <button class="btn" aria-label="Download" onClick=${save} disabled=${!asset.get_url}>${h(Icon, { name: "download" })}<span class="long">Download</span></button>
          <button class="btn wide-only" onClick=${() => askTags(all)}>${h(Icon, { name: "tag" })}Tag</button><button class="btn wide-only" onClick=${() => askMove(all)}>${h(Icon, { name: "folder-input" })}Move</button>${h(More, { asset })}`
          }</div></div>
      <nav class="tabrow" aria-label="Views">${link("preview", "Preview", 0)}${link("lineage", "Lineage", lineage ? lineage.nodes.length : 0)}
        ${other > 0 && html`<a href=${changed({})} aria-current="page">Version ${count(other)} compared</a>`}</nav></header>
    ${version > 0 && version !== asset.version && shown && html`<p class="past" role="status">${h(Icon, { name: "history", small: true })}Version ${count(version)}, as it was on ${day(shown.updated_at)}, ${time(shown.updated_at)}. <a class="link" href=${changed({ version: null })}>Show the latest</a></p>`}
    <div class="asset-body"><div class="stage-box">${tab === "lineage" ? h(Graph, { lineage, error, retry, root: asset.id }) : tab === "compare" ? h(Comparison, { asset, other, shown }) : asset.deleted_at ? html`<div class="refused">${h(Face, { asset, width: 240 })}${h(Deleted, { asset })}</div>` : shown && h(Preview, { key: `${shown.id} ${shown.version}`, asset: shown, measure: setMeasures, step })}</div>
      <aside class="about" tabindex="0" aria-label="About this asset"><h2 class="vh">About this asset</h2>${h(Seal, { asset: shown ?? asset, bytes: tab === "preview" && !asset.deleted_at })}${h(MadeBy, { asset })}${h(Flow, { asset, lineage })}
        ${h(Details, { asset: shown ?? asset, measures })}${h(Metadata, { asset: shown ?? asset })}${h(SameBytes, { asset })}
        <div class="versions">${h(History, { events, current: version || asset.version, act: (n) => h(VersionLinks, { n, asset, events, version }) })}</div></aside></div></main>`;
}

/** @param {{asset: Asset, events: LedgerEvent[] | null, version: number}} properties */
function Versions({ asset, events, version }) {
  const now = version || asset.version;
  if (!events || events.length < 2) return null;
  const items = events
    .slice(-50)
    .reverse()
    .map((event) => ({ label: `Version ${count(Number(event.version))}`, end: time(event.time), checked: event.version === now ? true : undefined, act: () => setQuery({ version: event.version === asset.version ? null : event.version, with: null }) }));
  return h(Menu, { name: `Version: v${now}`, kind: "btn small num", start: true, label: html`v${now}${h(Icon, { name: "chevron-down", small: true })}`, items });
}

/** @param {{n: number, asset: Asset, events: LedgerEvent[] | null, version: number}} properties */
function VersionLinks({ n, asset, events, version }) {
  const latest = version || asset.version;
  const bytes = events?.some((event) => event.version === n && BYTES.has(event.topic.split(".")[1]));
  return html`<span class="version-links">${
    n !== latest &&
    html`<a class="link" href=${changed({ version: n === asset.version ? null : n, with: null })}>${bytes ? "Show" : "Look"}</a>
    <a class="link" href=${changed({ with: n, tab: null })}>Compare with v${latest}</a>`
  }</span>`;
}

/** @param {{asset: Asset, other: number, shown: Asset | null}} properties */
function Comparison({ asset, other, shown }) {
  const old = useVersion(asset, other);
  if (!old || !shown || old.version !== other) return h(Skeleton, { lines: 6 });
  const side = (/** @type {Asset} */ one) => ({ asset: one, name: `Version ${count(one.version)}`, url: `${asset.get_url}?version=${one.version}` });
  return html`<div class="comparison"><h2>Version ${count(other)} and version ${count(shown.version)}</h2>${h(Changes, { old: side(old), now: side(shown) })}</div>`;
}

/** @param {{asset: Asset}} properties */
function SameBytes({ asset }) {
  const { value } = useGet(asset.digest ? "/api/assets" : "", { digest: asset.digest, page_size: 1, count: "exact" });
  const others = (value?.count ?? 1) - 1;
  return others > 0 && html`<section class="sec"><h3>Same bytes</h3><a class="link" href=${`/?digest=${encodeURIComponent(String(asset.digest))}`}>${count(others)} other ${others === 1 ? "asset has" : "assets have"} exactly these bytes</a></section>`;
}
