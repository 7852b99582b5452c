// Events to state, by the rules of docs/http.md: what `as_of=` answers, folded in the browser.
// An absent key of a later event is unchanged, null is cleared. `evolve` changes the state it gets.

/** @typedef {{node_id: string, run: string, attempt: number, status: string, error: string | null,
 *   seconds: number | null, started: number | null, ended: number | null}} Run
 * one run of a node; `started` and `ended` are milliseconds since 1970 */
/** @typedef {{assets: Map<string, Asset>, runs: Map<string, Run>, status: string, error: string | null,
 *   attempt: number, position: number, events: number}} State */
/** @typedef {{node_id: string | null, assets: number, bytes: number, runs: number, running: number,
 *   failed: number, seconds: number}} NodeSum */

/** @returns {State} */
export const empty = () => ({ assets: new Map(), runs: new Map(), status: "untracked", error: null, attempt: 1, position: 0, events: 0 });

/** Milliseconds since 1970 of an event. @param {LedgerEvent} event */
export const timeOf = (event) => Date.parse(event.data.made_at ?? event.time);

/** Apply the next event. @param {State} state @param {LedgerEvent} event @param {string} userId the owner */
export function evolve(state, event, userId) {
  state.position = event.position;
  state.events += 1;
  if (event.topic === "asset.created") state.assets.set(/** @type {string} */ (event.asset_id), created(event, userId));
  else if (event.asset_id) changeAsset(state, event, userId);
  else if (event.topic.startsWith("node.")) changeRun(state, event);
  else if (event.topic.startsWith("job.")) changeJob(state, event);
}

/** @param {LedgerEvent} event @param {string} userId @returns {Asset} */
function created({ asset_id, position, time, version, data, ...event }, userId) {
  const id = /** @type {string} */ (asset_id);
  return {
    id,
    user_id: userId,
    workflow_id: event.workflow_id,
    node_id: event.node_id,
    job_id: event.job_id,
    attempt: event.job_id ? (event.attempt ?? 1) : null,
    parent_id: data.parent_id ?? userId,
    name: data.name ?? "",
    content_type: data.content_type,
    size: data.size,
    digest: data.digest ?? null,
    metadata: data.metadata ?? null,
    tags: data.tags ?? [],
    duration: data.duration ?? null,
    derived_from: data.derived_from ?? [],
    created_at: data.made_at ?? time,
    updated_at: time,
    version: version ?? 1,
    etag: `v${version ?? 1}`,
    position,
    ...addresses(id, data.content_type, data.digest, version ?? 1),
  };
}

/** @param {string} id @param {string} type @param {string | null} digest @param {number} version */
function addresses(id, type, digest, version) {
  const pictured = digest && /^(image|video)\//.test(type);
  return {
    get_url: digest ? `/api/assets/${id}/content` : null,
    thumb_url: pictured ? `/api/assets/${id}/thumbnail?version=${version}` : null,
  };
}

/** @param {State} state @param {LedgerEvent} event @param {string} userId */
function changeAsset(state, event, userId) {
  const before = state.assets.get(/** @type {string} */ (event.asset_id));
  const changes = changesOf(event, userId);
  if (!before || !changes) return;
  const after = { ...before, ...changes, updated_at: event.time, position: event.position };
  after.version = event.version ?? before.version + 1;
  after.etag = `v${after.version}`;
  Object.assign(after, addresses(after.id, after.content_type, after.digest, after.version));
  state.assets.set(after.id, after);
}

const LABEL = ["name", "metadata", "tags", "duration", "content_type"];

/** The fields of an asset that a later event sets, or null. @param {LedgerEvent} event @param {string} userId
 * @returns {Partial<Asset> | null} */
export function changesOf({ topic, time, by, data }, userId) {
  if (topic === "asset.described") {
    const changes = Object.fromEntries(LABEL.filter((name) => name in data).map((name) => [name, data[name]]));
    if ("parent_id" in data) changes.parent_id = data.parent_id ?? userId;
    if ("tags" in data) changes.tags = data.tags ?? [];
    return changes;
  }
  if (topic === "asset.content_replaced") return { size: data.size, digest: data.digest, content_type: data.content_type };
  if (topic === "asset.deleted") return { deleted_at: time, deleted_by: by };
  if (topic === "asset.restored") return { deleted_at: undefined, deleted_by: undefined };
  return null;
}

/** @param {State} state @param {LedgerEvent} event */
function changeJob(state, { topic, data, attempt }) {
  state.attempt = attempt ?? state.attempt;
  state.status = topic === "job.started" ? "running" : topic === "job.finished" ? data.status : state.status;
  state.error = topic === "job.finished" ? (data.error ?? null) : topic === "job.started" ? null : state.error;
}

/** What tells runs apart. @param {LedgerEvent} event */
export const runKey = ({ attempt, node_id, data }) => `${attempt ?? data.attempt ?? 1} ${node_id} ${data.run ?? "1"}`;

/** @param {State} state @param {LedgerEvent} event */
function changeRun(state, event) {
  const { data, node_id } = event;
  const attempt = event.attempt ?? data.attempt ?? 1;
  const run = data.run ?? "1";
  const key = runKey(event);
  const before = state.runs.get(key);
  const at = timeOf(event);
  if (event.topic === "node.started") {
    state.runs.set(key, { node_id: node_id ?? "", run, attempt, status: "running", error: null, seconds: null, started: at, ended: null });
  } else if (event.topic === "node.finished") {
    const started = before?.started ?? (data.seconds == null ? null : at - data.seconds * 1000);
    state.runs.set(key, { node_id: node_id ?? "", run, attempt, status: data.status, error: data.error ?? null, seconds: data.seconds ?? null, started, ended: at });
  }
}

/** The numbers of a state: live assets, their bytes, tombstones, and the same by node.
 * @param {State} state */
export function sums(state) {
  const total = { assets: 0, bytes: 0, deleted: 0 };
  /** @type {Map<string | null, NodeSum>} */
  const nodes = new Map();
  const of = (/** @type {string | null} */ id) => {
    if (!nodes.has(id)) nodes.set(id, { node_id: id, assets: 0, bytes: 0, runs: 0, running: 0, failed: 0, seconds: 0 });
    return /** @type {NodeSum} */ (nodes.get(id));
  };
  for (const asset of state.assets.values()) {
    const node = of(asset.node_id);
    if (asset.deleted_at) {
      total.deleted += 1;
      continue;
    }
    for (const sum of [total, node]) {
      sum.assets += 1;
      sum.bytes += asset.size;
    }
  }
  for (const run of state.runs.values()) {
    const node = of(run.node_id);
    node.runs += 1;
    node.running += run.status === "running" ? 1 : 0;
    node.failed += run.status === "failed" ? 1 : 0;
    node.seconds += run.seconds ?? 0;
  }
  return { ...total, nodes };
}

/** The events of a job, and the state at any of them. A step applies one event, or takes it back. */
export class Replay {
  /** @param {LedgerEvent[]} events @param {string} userId */
  constructor(events, userId) {
    /** @type {LedgerEvent[]} */
    this.events = [];
    this.userId = userId;
    this.state = empty();
    /** What each applied event changed, as it was before. @type {(() => void)[]} */
    this.back = [];
    /** Index of the event that recorded each asset. @type {Map<string, number>} */
    this.made = new Map();
    this.add(events);
  }

  /** Add what was recorded since; events that are here already are ignored. @param {LedgerEvent[]} events
   * @returns {number} how many were new */
  add(events) {
    const last = this.events.at(-1)?.position ?? 0;
    const fresh = events.filter((event) => event.position > last);
    for (const event of fresh) {
      if (event.topic === "asset.created" && event.asset_id) this.made.set(event.asset_id, this.events.length);
      this.events.push(event);
    }
    return fresh.length;
  }

  /** The state after the first `n` events. It is valid until the next call. @param {number} n */
  at(n) {
    while (this.state.events > n) /** @type {() => void} */ (this.back.pop())();
    while (this.state.events < Math.min(n, this.events.length)) this.#apply(this.events[this.state.events]);
    return this.state;
  }

  /** @param {LedgerEvent} event */
  #apply(event) {
    const { state } = this;
    const { assets, runs, ...before } = state;
    const [id, run] = [event.asset_id ?? "", runKey(event)];
    const [asset, old] = [assets.get(id), runs.get(run)];
    this.back.push(() => {
      Object.assign(state, before);
      if (asset) assets.set(id, asset);
      else assets.delete(id);
      if (old) runs.set(run, old);
      else runs.delete(run);
    });
    evolve(state, event, this.userId);
  }

  /** How many events have a position up to this one. @param {number} position */
  upto(position) {
    let low = 0;
    for (let high = this.events.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.events[middle].position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
