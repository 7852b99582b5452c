// What this browser saw of each ledger: its key at first use, and the newest checkpoint. A proof is
// checked against both, so a ledger that was replaced or rewritten shows, also after years.
import { get } from "./api.js";
import { signal } from "./html.js";
import { kept } from "./prefs.js";
import { canCheck, check, consistent, ProofError } from "./proof.js";
import { session } from "./session.js";

/** @typedef {{key: string, since: string, size: number, root: string, seen: string}} Seen */
/** @typedef {import("./proof.js").Checked & {first: boolean, seen: Seen, grew: number | null}} Trusted
 * first: the key was kept just now; grew: the size of the checkpoint that this browser had before */

/** By origin: a ledger's name. @type {import("./html.js").Signal<Record<string, Seen>>} */
const ledgers = kept("ledgers", {});

/** The checkpoints, if the ledger is not a continuation of the one that this browser saw.
 * @type {import("./html.js").Signal<{seen: Seen, now: import("./proof.js").Checkpoint} | null>} */
export const fork = signal(null);

/** What this browser keeps of the present ledger. @returns {Seen | null} */
export const seenLedger = () => ledgers.value[session.value?.origin ?? ""] ?? null;

/** @type {Promise<unknown>} checks run one after the other, since each moves the kept checkpoint */
let chain = Promise.resolve();

/** Check a proof, and that its log continues the one this browser saw. Raises ProofError.
 * @param {import("./types").Proof} proof @returns {Promise<Trusted>} */
export function trust(proof) {
  const made = chain.then(() => trustNow(proof));
  chain = made.catch(() => {});
  return made;
}

/** @param {import("./types").Proof} proof @returns {Promise<Trusted>} */
async function trustNow(proof) {
  if (!canCheck()) throw new ProofError("browser", "this browser checks signatures over https or on localhost only");
  const origin = proof.checkpoint.split("\n", 1)[0];
  const before = ledgers.value[origin];
  const checked = await check(proof, before?.key ?? proof.key);
  if (before) await checkGrowth(before, checked);
  const now = new Date().toISOString();
  const newer = !before || checked.size >= before.size;
  const seen = {
    key: before?.key ?? checked.key, since: before?.since ?? now,
    size: newer ? checked.size : before.size, root: newer ? checked.root : before.root, seen: now,
  };
  ledgers.value = { ...ledgers.value, [origin]: seen };
  return { ...checked, first: !before, seen, grew: before ? before.size : null };
}

/** @param {Seen} seen @param {import("./proof.js").Checked} now */
async function checkGrowth(seen, now) {
  const [older, newer] = [{ ...seen, origin: now.origin }, now].sort((a, b) => a.size - b.size);
  try {
    const path = older.size === newer.size ? [] : (await get("/api/log/proof", { first: older.size, second: newer.size })).path;
    await consistent(older, newer, path);
  } catch (error) {
    if (error instanceof ProofError) fork.value = { seen, now };
    throw error;
  }
}

/** Keep the present ledger instead of the one that this browser saw. @param {string} origin */
export function forget(origin) {
  const { [origin]: gone, ...rest } = ledgers.value;
  ledgers.value = rest;
  fork.value = null;
}
