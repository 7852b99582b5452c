// What this browser saw of the ledger at this address: its key at first use, and the newest
// checkpoint. A proof is checked against both, so a ledger that was replaced or rewritten shows.
import { fork, get } from "./api.js";
import { signal } from "./html.js";
import { seen } from "./prefs.js";
import { canCheck, check, consistent, ProofError } from "./proof.js";

/** @typedef {import("./prefs.js").Seen} Seen */
/** @typedef {import("./proof.js").Checked & {first: boolean, seen: Seen, grew: Seen | null}} Trusted
 * first: the key was kept just now; grew: what this browser had seen before */

/** @typedef {{id: string, version: number, state: "" | "loading" | "hashed" | "large" | "unread", digest: string}} Hashed
 * large: only a part is loaded; unread: the bytes could not be loaded; digest: computed from them */

/** The check of the bytes that a preview shows.
 * @type {import("./html.js").Signal<Hashed>} */
export const hashed = signal({ id: "", version: 0, state: "", digest: "" });

/** @type {Promise<unknown>} checks run one after the other, since each moves the kept checkpoint */
let chain = Promise.resolve();

/** Check a proof, and that its log continues the one this browser saw. Raises ProofError.
 * @param {Proof} proof @returns {Promise<Trusted>} */
export function trust(proof) {
  const made = chain.then(() => trustNow(proof));
  chain = made.catch(() => {});
  return made;
}

/** @param {Proof} proof @returns {Promise<Trusted>} */
async function trustNow(proof) {
  if (!canCheck()) throw new ProofError("browser", "this browser checks signatures over https or on localhost only");
  const before = seen.value;
  const origin = proof.checkpoint.split("\n", 1)[0];
  const other = before && before.origin !== origin;
  const checked = await check(proof, before && !other ? before.key : proof.key);
  if (other) {
    fork.value = { seen: before, now: checked };
    throw new ProofError("ledger", "this is another ledger than the one that this browser saw");
  }
  if (before) await checkGrowth(before, checked);
  seen.value = merged(before, checked);
  return { ...checked, first: !before, seen: seen.value, grew: before };
}

/** @param {Seen | null} before @param {import("./proof.js").Checked} now @returns {Seen} */
function merged(before, { origin, key, size, root }) {
  const time = new Date().toISOString();
  const newest = before && before.size > size ? before : { size, root };
  return { origin, key: before?.key ?? key, since: before?.since ?? time, size: newest.size, root: newest.root, seen: time };
}

/** @param {Seen} before @param {import("./proof.js").Checked} now */
async function checkGrowth(before, now) {
  const [older, newer] = before.size <= now.size ? [before, now] : [now, before];
  try {
    const path = older.size === newer.size ? [] : (await get("/api/log/proof", { first: older.size, second: newer.size })).path;
    await consistent(older, newer, path);
  } catch (error) {
    if (error instanceof ProofError) fork.value = { seen: before, now };
    throw error;
  }
}

/** Forget what this browser saw: the present ledger is taken as new. */
export function forget() {
  seen.value = null;
  fork.value = null;
}
