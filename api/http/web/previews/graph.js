// What an asset was made from and what was made from it, as a graph.
import { count, visible } from "../core/format.js";
import { h, html, useEffect, useRef, useState } from "../core/html.js";
import { Failure, Skeleton } from "../parts/basic.js";
import { Face } from "../parts/tile.js";

const MOST = 300; // nodes of a graph that is laid out
const [WIDTH, HEIGHT] = [132, 108];

/** @typedef {{width: number, height: number, places: Map<string, {x: number, y: number}>, edges: {x: number, y: number}[][]}} Layout */

/** @param {Lineage} lineage @returns {Promise<Layout>} */
async function layOut(lineage) {
  const { graphlib, layout } = /** @type {any} */ (await import("../vendor/dagre.mjs"));
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 46, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of lineage.nodes) graph.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of lineage.edges) if (graph.hasNode(edge.from) && graph.hasNode(edge.to)) graph.setEdge(edge.from, edge.to);
  layout(graph);
  const { width, height } = graph.graph();
  return {
    width,
    height,
    places: new Map(graph.nodes().map((/** @type {string} */ id) => [id, graph.node(id)])),
    edges: graph.edges().map((/** @type {any} */ edge) => graph.edge(edge).points),
  };
}

/** A graph of assets, sources to the left.
 * @param {{lineage: Lineage | null, error?: unknown, retry?: () => void, root?: string}} properties */
export function Graph({ lineage, error, retry, root }) {
  const [drawn, setDrawn] = useState(/** @type {Layout | null} */ (null));
  const many = (lineage?.nodes.length ?? 0) > MOST;
  useEffect(() => {
    setDrawn(null);
    if (lineage && !many) layOut(lineage).then(setDrawn);
  }, [lineage]);
  const box = useRef(null);
  useEffect(() => void box.current?.querySelector(".root")?.scrollIntoView({ block: "center", inline: "center" }), [drawn]);
  if (error) return h(Failure, { error, retry });
  if (many) return html`<p class="quiet pad">These are ${count(lineage?.nodes.length ?? 0)} assets: too many for a picture. Open one of them to see what is near it.</p>`;
  if (!lineage || !drawn) return h(Skeleton, {});
  return html`<div class="graph" ref=${box} tabindex="0" role="group" aria-label="Lineage"><div class="sheet" style=${{ width: `${drawn.width}px`, height: `${drawn.height}px` }}>
    <svg viewBox=${`0 0 ${drawn.width} ${drawn.height}`} aria-hidden="true">${drawn.edges.map((points, k) => html`<path key=${k} d=${curve(points)} />`)}</svg>
    ${lineage.nodes.map((node) => h(Node, { key: node.id, node, place: drawn.places.get(node.id), root: node.id === root }))}</div></div>
    ${lineage.truncated && html`<p class="quiet pad">There is more than this: these are the nearest.</p>`}`;
}

/** @param {{node: Asset, place?: {x: number, y: number}, root: boolean}} properties */
function Node({ node, place, root }) {
  if (!place) return null;
  const style = { left: `${place.x - WIDTH / 2}px`, top: `${place.y - HEIGHT / 2}px`, width: `${WIDTH}px` };
  return html`<a class=${root ? "node root" : "node"} href=${`/assets/${node.id}`} style=${style} aria-current=${root ? "true" : undefined} title=${visible(node.name)}>
    ${h(Face, { asset: node, width: WIDTH, plain: true })}<bdi class="cut">${visible(node.name)}</bdi><bdi class="cut quiet">${visible(node.node_id ?? "")}</bdi></a>`;
}

/** A smooth line through points. @param {{x: number, y: number}[]} points */
function curve(points) {
  const [first, ...rest] = points;
  const steps = rest.map((to, k) => {
    const from = points[k];
    const middle = (from.x + to.x) / 2;
    return `C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
  });
  return `M${first.x} ${first.y}${steps.join("")}`;
}
