// How the nodes of a job feed each other: one box a node, one line for all sources between two.
import { bytes, counted, visible } from "../core/format.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { colorOf } from "../core/lanes.js";
import { Empty, Skeleton } from "../parts/basic.js";
import { Face } from "../parts/tile.js";

const WIDTH = 160;
const HEIGHT = 92;

/** @typedef {{id: string, name: string | null, color: string, assets: Asset[], bytes: number}} Node */

/** Nodes and the number of sources between them. @param {import("../core/fold.js").State} state */
function graphOf(state) {
  const nodes = new Map();
  const edges = new Map();
  for (const asset of state.assets.values()) {
    if (!nodes.has(asset.node_id)) nodes.set(asset.node_id, { id: `n${nodes.size}`, name: asset.node_id, color: colorOf(nodes.size), assets: [], bytes: 0 });
    const node = /** @type {Node} */ (nodes.get(asset.node_id));
    node.assets.push(asset);
    node.bytes += asset.size;
    for (const source of asset.derived_from) {
      const from = state.assets.get(source);
      const before = from && nodes.get(from.node_id);
      if (!before || before === node) continue;
      const key = `${before.id} ${node.id}`;
      edges.set(key, { from: before.id, to: node.id, n: (edges.get(key)?.n ?? 0) + 1 });
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

/** @param {ReturnType<typeof graphOf>} graph @param {any} dagre */
function layoutOf({ nodes, edges }, dagre) {
  const graph = new dagre.graphlib.Graph().setGraph({ rankdir: "LR", nodesep: 22, ranksep: 44, marginx: 20, marginy: 20 }).setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of edges) graph.setEdge(edge.from, edge.to);
  dagre.layout(graph);
  return graph;
}

/** @param {{x: number, y: number}} a @param {{x: number, y: number}} b */
function curve(a, b) {
  const [x1, x2] = [a.x + WIDTH / 2, b.x - WIDTH / 2];
  const bend = Math.max(20, (x2 - x1) / 2);
  return `M${x1} ${a.y} C ${x1 + bend} ${a.y}, ${x2 - bend} ${b.y}, ${x2} ${b.y}`;
}

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function JobLineage({ live }) {
  const [dagre, setDagre] = useState(/** @type {any} */ (null));
  useEffect(() => void import("../vendor/dagre.mjs").then((module) => setDagre(module.default ?? module)), []);
  const replay = live.replay.value;
  if (!dagre || !replay) return h(Skeleton, { lines: 6 });
  const graph = graphOf(replay.at((live.changes.value, replay.events.length)));
  if (!graph.edges.length) return h(Empty, { icon: "waypoints", title: "Nothing says what these assets were made from." }, html`<p>Pass <span class="mono">derived_from</span> when you record them.</p>`);
  const layout = layoutOf(graph, dagre);
  const { width, height } = layout.graph();
  return html`<div class="scroll"><div class="dag" style=${{ width: `${width}px`, height: `${height}px` }}>
    <svg aria-hidden="true" viewBox=${`0 0 ${width} ${height}`}>${graph.edges.map((edge) => html`<path key=${`${edge.from} ${edge.to}`} d=${curve(layout.node(edge.from), layout.node(edge.to))}><title>${counted(edge.n, "source")}</title></path>`)}</svg>
    ${graph.nodes.map((node) => {
      const { x, y } = layout.node(node.id);
      return h(Box, { key: node.id, node, job: live.id, x: x - WIDTH / 2, y: y - HEIGHT / 2 });
    })}</div></div>`;
}

/** @param {{node: Node, job: string, x: number, y: number}} properties */
function Box({ node, job, x, y }) {
  const filter = node.name === null ? "missing=node_id" : `node_id=${encodeURIComponent(node.name)}`;
  return html`<a class="dagnode" href=${`/?job_id=${encodeURIComponent(job)}&${filter}`} style=${{ left: `${x}px`, top: `${y}px`, "--c": node.color }}>
    <b class="cut"><bdi>${node.name === null ? "No node" : visible(node.name)}</bdi></b><span class="num">${counted(node.assets.length, "asset")} · ${bytes(node.bytes)}</span>
    <span class="thumbs">${node.assets.slice(-4).map((asset) => h(Face, { key: asset.id, asset, width: 38, plain: true }))}</span></a>`;
}
