// The arithmetic of proofs (docs/audit.md): signed notes, RFC 6962 paths, rotations, leaves.
// WebCrypto only. Nothing here asks the server: `trust.js` does, and keeps what this browser saw.

/** A step that does not hold: `step` names it. */
export class ProofError extends Error {
  /** @param {string} step @param {string} message */
  constructor(step, message) {
    super(message);
    this.step = step;
  }
}

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {{origin: string, size: number, root: string}} Checkpoint root in base64 */
/** @typedef {{position: number, stream: string, version: number, topic: string, state: any}} Leaf */
/** @typedef {{origin: string, size: number, root: string, key: string, rotated: number, events: Leaf[], path: number}} Checked
 * rotated: rotations followed from the kept key; path: hashes of the longest inclusion path */

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true });
const LEAF = "asset-ledger/leaf/1\n";

/** @param {string} text */
export function unbase64(text) {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new ProofError("form", "a value is not base64");
  }
}

/** @param {Bytes} bytes */
export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

/** @param {Bytes[]} parts */
function join(...parts) {
  const joined = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** @param {Bytes} bytes */
export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const leafHash = (/** @type {Bytes} */ leaf) => sha256(join(Uint8Array.of(0), leaf));
const same = (/** @type {Bytes} */ a, /** @type {Bytes} */ b) => a.length === b.length && a.every((x, k) => x === b[k]);

// inner nodes that were computed in this page: paths of one log share most of them
const inner = new Map();

/** @param {Bytes} left @param {Bytes} right */
function nodeHash(left, right) {
  const key = String.fromCharCode(...left, ...right);
  const found = inner.get(key);
  if (found) return found;
  if (inner.size > 50_000) inner.clear();
  const made = sha256(join(Uint8Array.of(1), left, right));
  inner.set(key, made);
  return made;
}

/** Whether this browser can check: WebCrypto needs https or localhost. */
export const canCheck = () => Boolean(globalThis.crypto?.subtle);

/** @param {string} key a C2SP verifier key, `<name>+<id>+<base64>` */
async function readKey(key) {
  const [name, id, ...rest] = key.split("+");
  const bytes = unbase64(rest.join("+"));
  if (bytes[0] !== 1 || bytes.length !== 33) throw new ProofError("key", "the key is not an Ed25519 key");
  const computed = hex((await sha256(join(utf8.encode(`${name}\n`), bytes))).slice(0, 4));
  if (computed !== id) throw new ProofError("key", "the id of the key is not that of the key");
  const imported = await crypto.subtle.importKey("raw", bytes.slice(1), "Ed25519", false, ["verify"]);
  const verify = (/** @type {Bytes} */ signature, /** @type {Bytes} */ data) => crypto.subtle.verify("Ed25519", imported, signature, data);
  return { name, id, verify };
}

/** Check the signature of a checkpoint. @param {string} note @param {string} key @returns {Promise<Checkpoint>} */
export async function openNote(note, key) {
  const { name, id, verify } = await readKey(key);
  const cut = note.lastIndexOf("\n\n");
  const text = note.slice(0, cut + 1);
  const [origin, size, root] = text.split("\n");
  if (cut < 0 || !/^[1-9]\d*$/.test(size ?? "")) throw new ProofError("signature", "the checkpoint is not a signed note");
  if (origin !== name) throw new ProofError("signature", "the checkpoint is of another ledger");
  const lines = note
    .slice(cut + 2)
    .split("\n")
    .filter((line) => line.startsWith(`\u2014 ${name} `));
  const found = lines.map((line) => unbase64(line.slice(name.length + 3))).find((bytes) => hex(bytes.slice(0, 4)) === id);
  if (!found) throw new ProofError("signature", "the checkpoint is not signed with the kept key");
  if (!(await verify(found.slice(4), utf8.encode(text)))) throw new ProofError("signature", "the signature of the checkpoint does not hold");
  return { origin, size: Number(size), root };
}

/** The root that a leaf and its inclusion path lead to (RFC 9162, section 2.1.3.2).
 * @param {Bytes} leaf @param {number} index @param {number} size @param {Bytes[]} path */
export async function rootOf(leaf, index, size, path) {
  let hash = await leafHash(leaf);
  let here = index;
  let last = size - 1;
  if (!(index >= 0 && index < size)) throw new ProofError("inclusion", `the log has no event ${index + 1}`);
  for (const sibling of path) {
    const right = here % 2 === 1 || here === last;
    hash = await (right ? nodeHash(sibling, hash) : nodeHash(hash, sibling));
    while (right && here && here % 2 === 0) [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
    [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new ProofError("inclusion", `the path of event ${index + 1} is too short`);
  return hash;
}

/** The four parts of a leaf. @param {Bytes} leaf @param {number} position @returns {Leaf} */
export function readLeaf(leaf, position) {
  try {
    if (strict.decode(leaf.slice(0, LEAF.length)) !== LEAF) throw new RangeError();
    const view = new DataView(leaf.buffer, leaf.byteOffset, leaf.length);
    const parts = [];
    for (let at = LEAF.length; at < leaf.length; ) {
      const length = view.getUint32(at);
      parts.push(strict.decode(leaf.slice(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    const [stream, version, topic, state] = parts;
    return { position, stream, version: Number(version), topic, state: JSON.parse(state) };
  } catch {
    throw new ProofError("leaf", `event ${position} has no readable leaf`);
  }
}

/** Yield to the page when 8 ms were used. */
function breather() {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < 8) return;
    await new Promise((done) => setTimeout(done));
    since = performance.now();
  };
}

/** Check that each event is under the root. @param {ProofEvent[]} events
 * @param {Checkpoint} checkpoint */
async function included(events, { size, root }) {
  const wanted = unbase64(root);
  const rest = breather();
  const leaves = [];
  for (const { position, leaf, path } of events) {
    const bytes = unbase64(leaf);
    const found = await rootOf(bytes, position - 1, size, path.map(unbase64));
    if (!same(found, wanted)) throw new ProofError("inclusion", `event ${position} is not under the signed root`);
    leaves.push(readLeaf(bytes, position));
    await rest();
  }
  return leaves;
}

/** Follow the rotations from a kept key to the key that signs. @param {Leaf[]} rotations
 * @param {string} key @returns {Promise<{key: string, rotated: number}>} */
export async function followKeys(rotations, key) {
  let present = key;
  let rotated = 0;
  for (const { stream, state } of rotations) {
    if (state.old_key !== present) continue;
    const text = utf8.encode(`asset-ledger/key-rotation/1\n${stream}\n${state.old_key}\n${state.new_key}\n`);
    for (const [by, signature] of [
      [state.old_key, state.old_signature],
      [state.new_key, state.new_signature],
    ]) {
      const { verify } = await readKey(by);
      if (!(await verify(unbase64(signature), text))) throw new ProofError("key", "a change of the key is not signed by both keys");
    }
    present = state.new_key;
    rotated += 1;
  }
  return { key: present, rotated };
}

/** Check a proof with a kept key. @param {Proof} proof @param {string} kept @returns {Promise<Checked>} */
export async function check(proof, kept) {
  const unproven = proof.rotations.map((each) => readLeaf(unbase64(each.leaf), each.position));
  const { key, rotated } = await followKeys(
    unproven.filter((leaf) => leaf.topic === "key.rotated"),
    kept,
  );
  const checkpoint = await openNote(proof.checkpoint, key);
  await included(
    proof.rotations.filter((each) => each.path),
    checkpoint,
  ); // without a path, its two signatures say enough
  const events = await included(proof.events, checkpoint);
  return { ...checkpoint, key, rotated, events, path: Math.max(0, ...proof.events.map((e) => e.path.length)) };
}

/** Check that a log continues an older one (RFC 9162, section 2.1.4.2).
 * @param {Checkpoint} older @param {Checkpoint} newer @param {string[]} path in base64 */
export async function consistent(older, newer, path) {
  const bad = () => new ProofError("consistency", `the log of ${newer.size} events does not continue the one of ${older.size} that this browser saw`);
  if (older.size === newer.size) {
    if (older.root !== newer.root) throw bad();
    return;
  }
  const hashes = path.map(unbase64);
  if (older.size > newer.size || !hashes.length) throw bad();
  if ((BigInt(older.size) & BigInt(older.size - 1)) === 0n) hashes.unshift(unbase64(older.root));
  let here = older.size - 1;
  let last = newer.size - 1;
  while (here % 2 === 1) [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
  let [first, second] = [hashes[0], hashes[0]];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) throw bad();
    const right = here % 2 === 1 || here === last;
    if (right) [first, second] = [await nodeHash(sibling, first), await nodeHash(sibling, second)];
    else second = await nodeHash(second, sibling);
    while (right && here && here % 2 === 0) [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
    [here, last] = [Math.floor(here / 2), Math.floor(last / 2)];
  }
  if (last !== 0 || !same(first, unbase64(older.root)) || !same(second, unbase64(newer.root))) throw bad();
}

/** A proven leaf in the shape of an event of the API. @param {Leaf} leaf
 * @returns {LedgerEvent} */
export function eventOf({ position, stream, version, topic, state }) {
  const { by, recorded_at, clock, user_id, workflow_id, node_id, job_id, job_seq, attempt, late, command, traceparent, private: own, ...data } = state;
  return {
    position,
    topic,
    time: recorded_at,
    clock: clock ?? null,
    by,
    version,
    job_seq: job_seq ?? null,
    attempt: attempt ?? null,
    late: late ?? false,
    asset_id: topic.startsWith("asset.") ? stream : null,
    job_id: job_id ?? null,
    workflow_id: workflow_id ?? null,
    node_id: node_id ?? null,
    data: { ...data, ...own },
  };
}
