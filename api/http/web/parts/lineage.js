// What an asset was made from and used in, as a small picture.
import { count, visible } from "../core/format.js";
import { h, html } from "../core/html.js";
import { useGet } from "../core/rows.js";
import { Face } from "./tile.js";

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
