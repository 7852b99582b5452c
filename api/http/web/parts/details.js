// Sections about one asset, for the panel and the page: made by, details, tags, history, and what it was
// made from and used in, as a small picture.
import { allRows, part } from "../core/api.js";
import { bytes, count, group, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { useAnswer, useFolderName, useGet } from "../core/rows.js";
import { askTags, home, untag } from "./actions.js";
import { Icon, IconButton, Id, Time } from "./basic.js";
import { Face } from "./tile.js";

const MAKERS = /** @type {const} */ ([
  ["node_id", "Node", "waypoints", (/** @type {string} */ id) => `/nodes/${part(id)}`],
  ["job_id", "Job", "layers", (/** @type {string} */ id) => `/jobs/${part(id)}`],
  ["workflow_id", "Workflow", "workflow", (/** @type {string} */ id) => `/workflows/${part(id)}`],
]);

/** Node, job and workflow, each with how much else it made. @param {{asset: Asset}} properties */
export function MadeBy({ asset }) {
  const makers = MAKERS.filter(([field]) => asset[field]);
  return html`<section class="sec made"><h3>Made by<span class="end">${h(Time, { at: asset.created_at })}</span></h3>
    ${makers.map(([field, name, icon, href]) => {
      const id = String(asset[field]);
      return html`<a key=${field} href=${href(id)}>${h(Icon, { name: icon })}<span class="k">${name}</span><bdi class="v cut" title=${visible(id)}>${visible(id)}</bdi>${h(Total, { field, id })}</a>`;
    })}
    ${!makers.length && html`<p class="quiet">Recorded outside a job.</p>`}</section>`;
}

/** @param {{field: string, id: string}} properties */
function Total({ field, id }) {
  const { value } = useGet("/api/assets/usage", { group_by: field, [field]: id, page_size: 1 });
  return html`<span class="x num">${value && count(value.usage[0]?.count ?? 0)}</span>`;
}

const KINDS = { image: "image", video: "video", audio: "sound", text: "text", data: "data", model: "3D model", doc: "document", folder: "folder", other: "file" };

/** "PNG image" @param {string} type */
function typeName(type) {
  const kind = group(type);
  if (kind === "folder") return "Folder";
  const name = (type.split("/")[1] ?? type).replace(/^x-|\+.*$/g, "").replace("gltf-binary", "glb");
  if (name === "plain") return "Plain text";
  return kind === "other" || name.length > 12 ? type : `${name.length < 6 ? name.toUpperCase() : name} ${KINDS[kind]}`;
}

/** @param {{asset: Asset, measures?: string}} properties measures: "2048 × 1536" once the picture is here */
export function Details({ asset, measures }) {
  const { value: known } = useGet(asset.thumb_url && !asset.deleted_at && measures === undefined ? `/api/assets/${asset.id}/placeholder` : "", { version: asset.version });
  const pixels = measures ?? (known && `${known.width} × ${known.height}`);
  const folder = asset.content_type === "folder";
  return html`<section class="sec"><h3>Details</h3><dl class="details">
    <dt>Type</dt><dd><span title=${asset.content_type}>${typeName(asset.content_type)}</span>${pixels && html`<span class="quiet num">${pixels}</span>`}</dd>
    ${!folder && html`<dt>Size</dt><dd><span class="num">${bytes(asset.size)}</span>${asset.size >= 1000 && html`<span class="quiet num">${count(asset.size)} bytes</span>`}</dd>`}
    <dt>Folder</dt><dd>${h(Folders, { asset })}</dd>
    ${asset.digest && html`<dt>Digest</dt><dd>${h(Id, { id: asset.digest })}</dd>`}
    <dt>Id</dt><dd>${h(Id, { id: asset.id })}</dd>
    <dt>Tags</dt><dd>${asset.tags.map(
      (tag) => html`<span class="tag" key=${tag}><a href=${`/?tag=${encodeURIComponent(tag)}`}><bdi>${visible(tag)}</bdi></a>
      ${!asset.deleted_at && html`<button aria-label=${`Remove the tag ${visible(tag)}`} onClick=${() => untag(asset, tag)}>${h(Icon, { name: "x", small: true })}</button>`}</span>`,
    )}
      ${!asset.deleted_at && h(IconButton, { icon: "plus", label: "Add a tag", act: () => askTags([asset]) })}</dd>
    ${asset.duration !== null && html`<dt>Length</dt><dd class="num">${asset.duration} s</dd>`}</dl></section>`;
}

/** The folders around an asset, from home on. @param {{asset: Asset, kind?: string}} properties */
export function Folders({ asset, kind = "link" }) {
  const parent = asset.parent_id && asset.parent_id !== home().id ? asset.parent_id : null;
  const { value } = useGet(parent && !asset.deleted_at ? `/api/assets/${asset.id}/folders` : "", {}, asset.version);
  const name = useFolderName(asset.deleted_at ? parent : null); // the API has no path to what was deleted
  if (parent && !value && !asset.deleted_at) return "…";
  const path = parent && asset.deleted_at ? [{ id: parent, name }] : [home(), ...(value?.folder_path ?? [])];
  return path.map(({ id, name }, k) => html`${k > 0 && " / "}<a class=${kind} key=${id} href=${`/?parent_id=${encodeURIComponent(id)}`}><bdi>${visible(name)}</bdi></a>`);
}

/** The events of an asset, or null until they are here. @param {string} id @param {number} version
 * @returns {LedgerEvent[] | null} */
export const useHistory = (id, version) => useAnswer(id, (signal) => allRows(`/api/assets/${id}/history`, {}, "events", signal), version).value;

const STEP = 50; // versions that are shown at once

/** Versions, newest first, each with what changed; `act` adds something to each.
 * @param {{events: LedgerEvent[] | null, current?: number, act?: (version: number) => any}} properties */
export function History({ events, current, act }) {
  const [shown, setShown] = useState(STEP);
  const rest = (events?.length ?? 0) - shown;
  return html`<section class="sec"><h3>History${events && html`<span class="n num">${events.length === 1 ? "1 version" : `${count(events.length)} versions`}</span>`}</h3>
    <ol class="hist">${(events ?? [])
      .slice(-shown)
      .reverse()
      .map(
        (event) => html`<li key=${event.position} aria-current=${event.version === current ? "true" : undefined}>
      <span class="v num">v${event.version}</span><span>${h(What, { event, events: events ?? [] })}${act?.(Number(event.version))}</span>${h(Time, { at: event.time })}</li>`,
      )}</ol>${rest > 0 && html`<button class="btn small" onClick=${() => setShown(shown + STEP)}>${count(rest)} more</button>`}</section>`;
}

/** What an event did, in words. @param {{event: LedgerEvent, events: LedgerEvent[]}} properties */
function What({ event, events }) {
  const data = event.data;
  switch (event.topic.split(".")[1]) {
    case "created":
      return event.node_id ? html`Recorded by <bdi>${visible(event.node_id)}</bdi>` : "Recorded";
    case "deleted":
      return html`Deleted by <bdi>${visible(event.by)}</bdi>`;
    case "restored":
      return html`Restored by <bdi>${visible(event.by)}</bdi>`;
    case "described":
      return h(Described, { event, events });
    default:
      return data.size === undefined ? event.topic : html`New bytes, <span class="num">${bytes(data.size)}</span>`;
  }
}

/** @param {{event: LedgerEvent, events: LedgerEvent[]}} properties */
function Described({ event, events }) {
  const before = (/** @type {string} */ field) => events.filter((other) => other.position < event.position && other.data?.[field] !== undefined).at(-1)?.data[field];
  const parts = Object.keys(event.data).filter((field) => event.data[field] !== undefined);
  return html`${parts.map((field) => h(Change, { key: field, field, from: before(field), to: event.data[field] }))}${!parts.length && "Changed"}`;
}

const CHANGED = /** @type {Record<string, string>} */ ({ name: "Renamed", tags: "Tags", parent_id: "Moved", content_type: "Type", metadata: "Metadata changed", duration: "Length" });

/** @param {{field: string, from: unknown, to: unknown}} properties */
function Change({ field, from, to }) {
  if (field === "tags") {
    const [old, now] = [/** @type {string[]} */ (from ?? []), /** @type {string[]} */ (to ?? [])];
    const gone = old.filter((tag) => !now.includes(tag));
    const made = now.filter((tag) => !old.includes(tag));
    return html`<span>Tags ${gone.map((tag) => html`<del>${visible(tag)}</del> `)}${made.map((tag) => html`<ins>${visible(tag)}</ins> `)}</span>`;
  }
  if (field === "name" || field === "content_type") return html`<span>${CHANGED[field]} ${from ? html`<del>${visible(String(from))}</del> ` : ""}<ins>${visible(String(to))}</ins> </span>`;
  return html`<span>${CHANGED[field] ?? visible(field)} </span>`;
}

const SHOWN = 3; // neighbours on each side of the small picture

/** The lineage of an asset, null until it is here.
 * @param {string} id @param {number} version @param {number} depth @returns {{value: Lineage | null, error: unknown, retry: () => void}} */
export const useLineage = (id, version, depth) => useGet(`/api/assets/${id}/lineage`, { depth }, version);

/** Sources to the left, what was made from it to the right.
 * @param {{asset: Asset, lineage: Lineage | null}} properties */
export function Flow({ asset, lineage }) {
  const nodes = new Map((lineage?.nodes ?? []).map((node) => [node.id, node]));
  const near = (/** @type {"from" | "to"} */ mine, /** @type {"from" | "to"} */ other) => (lineage?.edges ?? []).filter((edge) => edge[mine] === asset.id).flatMap((edge) => nodes.get(edge[other]) ?? []);
  const [sources, uses] = [near("to", "from"), near("from", "to")];
  const none = lineage && !sources.length && !uses.length;
  return html`<section class="sec"><h3>Made from ${lineage && html`<span class="n num">${count(sources.length)}</span><span class="end num">Used in ${count(uses.length)}</span>`}</h3>
    ${
      none
        ? html`<p class="quiet">Nothing says what this was made from. Pass <span class="mono">derived_from</span> when you record it.</p>`
        : html`<div class="flow">${h(Column, { assets: sources })}${h(Edges, { n: Math.min(sources.length, SHOWN + 1), into: true })}
        <div class="me">${h(Face, { asset, width: 64 })}</div>
        ${h(Edges, { n: Math.min(uses.length, SHOWN + 1), into: false })}${h(Column, { assets: uses })}</div>`
    }</section>`;
}

/** @param {{assets: Asset[]}} properties */
function Column({ assets }) {
  const more = assets.length - SHOWN;
  return html`<div class="col">${assets.slice(0, SHOWN).map(
    (asset) => html`<a key=${asset.id} href=${`/assets/${asset.id}`} title=${visible(asset.name)}>
    ${h(Face, { asset, width: 92 })}<bdi class="label">${visible(asset.node_id ?? asset.name)}</bdi></a>`,
  )}
    ${more > 0 && html`<span class="more">${count(more)} more</span>`}</div>`;
}

/** @param {{n: number, into: boolean}} properties */
function Edges({ n, into }) {
  const place = (/** @type {number} */ k) => (k < SHOWN ? 27 + k * 60 : SHOWN * 60 + 12);
  const height = n ? (n > SHOWN ? place(SHOWN) + 12 : n * 60 - 6) : 54;
  const middle = height / 2;
  return html`<svg class="edge" viewBox=${`0 0 26 ${height}`} preserveAspectRatio="none" aria-hidden="true" style=${{ height: `${height}px` }}>
    ${Array.from({ length: n }, (_, k) => html`<path key=${k} d=${into ? `M0 ${place(k)} C 14 ${place(k)}, 12 ${middle}, 26 ${middle}` : `M0 ${middle} C 14 ${middle}, 12 ${place(k)}, 26 ${place(k)}`} />`)}</svg>`;
}
