// The detail panel beside a list: one asset, with what people look for first.
import { time, visible } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { onChange } from "../core/live.js";
import { useGet } from "../core/rows.js";
import { curl } from "../core/session.js";
import { askDelete, askMove, askRename, askTags, download, restore } from "./actions.js";
import { clip, Failure, Icon, IconButton, Name, Skeleton, useSmall } from "./basic.js";
import { Menu } from "./over.js";
import { Details, Flow, History, MadeBy, useHistory, useLineage } from "./details.js";
import { Json } from "./history.js";
import { Seal } from "./seal.js";
import { Face } from "./tile.js";

/** An asset, asked for again when it changes; one that was deleted as it is then listed. @param {string} id @param {Asset | null} [known]
 * @returns {{asset: Asset | null, error: unknown, retry: () => void}} */
export function useAsset(id, known = null) {
  const [turn, setTurn] = useState(0);
  const [gone, setGone] = useState("");
  const live = useGet(`/api/assets/${encodeURIComponent(id)}`, {}, turn);
  const isDeleted = /** @type {any} */ (live.error)?.status === 410;
  const tombstone = useGet(isDeleted ? "/api/assets" : "", { id, deleted: "any" }, turn);
  const { error, retry } = isDeleted ? tombstone : live;
  const change = (/** @type {Set<string>} */ ids, /** @type {Set<string>} */ deleted) => {
    if (!ids.has(id)) return;
    setGone(deleted.has(id) ? id : "");
    if (!deleted.has(id)) setTurn((n) => n + 1);
  };
  useEffect(() => onChange(change), [id]);
  const asset = live.value ?? tombstone.value?.assets[0] ?? (known?.id === id ? known : null);
  return { asset: asset && gone === id ? { deleted_at: new Date().toISOString(), ...asset } : asset, retry, error };
}

/** @param {{id: string, known: Asset | null, close: () => void, previous?: () => void, next?: () => void}} properties */
export function Panel({ id, known, close, previous, next }) {
  const { asset, error, retry } = useAsset(id, known);
  const name = asset?.name ?? "";
  const [box, title] = useSmall() ? ["main", "h1"] : ["aside", "h2"]; // on a phone it is the page
  return html`<${box} class="panel" aria-label=${asset ? visible(name) : "Asset"}>
    <header>${h(IconButton, { icon: "chevron-left", label: "Back", act: close, kind: "btn bare icon only-small" })}
      <${title}>${asset && h(Name, { name })}</${title}>${h(IconButton, { icon: "arrow-up", label: "Previous asset", act: previous })}${h(IconButton, { icon: "arrow-down", label: "Next asset", act: next })}
      <a class="btn bare small icon" aria-label="Open as page" title="Open as page" href=${`/assets/${encodeURIComponent(id)}`}>${h(Icon, { name: "expand", small: true })}</a>
      <span class="not-small">${h(IconButton, { icon: "x", label: "Close", act: close })}</span></header>
    <div class="body" tabindex="0" role="group" aria-label="About this asset">${box === "main" && html`<h2 class="vh">About this asset</h2>`}${error ? h(Failure, { error, retry }) : asset ? h(Body, { key: asset.id, asset }) : h(Skeleton, { lines: 6 })}</div></${box}>`;
}

/** What there is to say of an asset that was deleted. @param {{asset: Asset}} properties */
export const Deleted = ({ asset }) => asset.deleted_at && html`<p role="status">Deleted${asset.deleted_by && html` by <bdi>${visible(asset.deleted_by)}</bdi>, ${time(asset.deleted_at)}`}. Its history and proof are still here.</p>`;

/** @param {{asset: Asset}} properties */
function Body({ asset }) {
  const { value: lineage } = useLineage(asset.id, asset.version, 1);
  const events = useHistory(asset.id, asset.version);
  const folder = asset.content_type === "folder";
  return html`<a class="preview" href=${folder ? `/?parent_id=${asset.id}` : `/assets/${asset.id}`} aria-label=${folder ? "Open the folder" : "Open as page"}>${h(Face, { asset, width: 346 })}</a>
    ${h(Deleted, { asset })}${h(Seal, { asset })}
    ${h(Actions, { asset })}${h(MadeBy, { asset })}
    ${!folder && h(Flow, { asset, lineage })}${h(Details, { asset })}${h(Metadata, { asset })}${h(History, { events })}`;
}

/** @param {{asset: Asset}} properties */
export function Metadata({ asset }) {
  const entries = Object.entries(asset.metadata ?? {});
  return (
    entries.length > 0 &&
    html`<section class="sec"><h3>Metadata</h3><dl class="details">${entries.map(
      ([key, value]) => html`
    <dt key=${key} class="cut" title=${visible(key)}><bdi>${visible(key)}</bdi></dt><dd>${value && typeof value === "object" ? html`<div class="json tree">${h(Json, { value })}</div>` : html`<bdi class="wrap">${visible(String(value))}</bdi>`}</dd>`,
    )}</dl></section>`
  );
}

/** Download, tag, move, and what else there is. @param {{asset: Asset}} properties */
export function Actions({ asset }) {
  const button = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {() => void} */ act) => html`<button class="btn" onClick=${act}>${h(Icon, { name: icon })}${label}</button>`;
  if (asset.deleted_at) return html`<div class="acts">${button("undo-2", "Restore", () => restore([asset]))}</div>`;
  return html`<div class="acts">${button("download", "Download", () => download([asset]))}${button("tag", "Tag", () => askTags([asset]))}${button("folder-input", "Move", () => askMove([asset]))}
    ${h(More, { asset })}</div>`;
}

/** @param {{asset: Asset}} properties */
export function More({ asset }) {
  return h(Menu, {
    name: "More",
    label: h(Icon, { name: "ellipsis" }),
    items: [
      { label: "Rename", icon: "pencil", act: () => askRename(asset) },
      { label: "Copy the id", icon: "hash", act: () => void clip(asset.id) },
      { label: "Copy the link", icon: "link", act: () => void clip(`${location.origin}/assets/${asset.id}`) },
      { label: "Copy as curl", icon: "copy", act: () => void clip(curl(`/api/assets/${asset.id}`)) },
      ...(asset.digest ? [{ label: "Assets with the same bytes", icon: "images", href: `/?digest=${encodeURIComponent(asset.digest)}` }] : []),
      "line",
      { label: "Delete", icon: "trash-2", bad: true, act: () => askDelete([asset]) },
    ],
  });
}
