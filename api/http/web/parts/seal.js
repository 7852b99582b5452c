// The seal: green only when this browser checked signature, key, inclusion, consistency, fields, and
// the bytes where they are shown.
import { ApiError, fork, get, part } from "../core/api.js";
import { empty, evolve } from "../core/fold.js";
import { count, counted, short, time } from "../core/format.js";
import { Dialog } from "./over.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { canCheck, eventOf, ProofError } from "../core/proof.js";
import { can, curl, quoted } from "../core/session.js";
import { forget, hashed, trust } from "../core/trust.js";
import { Copy, Icon, Id } from "./basic.js";

/** @typedef {import("../core/trust.js").Trusted} Trusted */
/** @typedef {{state: "checking" | "proven" | "unchecked" | "failed", checked?: Trusted, proof?: any, why?: string, step?: string}} Verdict */

const LACKING = "Your token does not have the scope audit. Ask for one: asset-ledger token create --scope read --scope write --scope audit";

/** @param {unknown} error @param {any} proof @returns {Verdict} */
function verdictOf(error, proof) {
  if (error instanceof ProofError && error.step !== "browser") return { state: "failed", why: error.message, step: error.step, proof };
  const why = error instanceof ApiError && error.slug === "missing-scope" ? LACKING : /** @type {Error} */ (error).message;
  return { state: "unchecked", why };
}

/** Ask for a proof and check it; `compare` raises ProofError where it does not show what is shown.
 * @param {string} path @param {unknown[]} inputs @param {(checked: Trusted) => void} compare @returns {[Verdict, () => void]} */
export function useProof(path, inputs, compare) {
  const [verdict, setVerdict] = useState(/** @type {Verdict} */ ({ state: "checking" }));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const reason = !path ? "" : !can("audit") ? LACKING : !canCheck() ? "Checks need https or localhost." : "";
    if (!path || reason) return setVerdict({ state: path ? "unchecked" : "checking", why: reason });
    const abort = new AbortController();
    /** @type {any} */
    let proof;
    setVerdict({ state: "checking" });
    (async () => {
      proof = await get(path, {}, { signal: abort.signal });
      const checked = await trust(proof);
      compare(checked);
      return /** @type {Verdict} */ ({ state: "proven", checked, proof });
    })()
      .catch((error) => verdictOf(error, proof))
      .then((found) => abort.signal.aborted || setVerdict(found));
    return () => abort.abort();
  }, [path, turn, ...inputs]);
  return [verdict, () => setTurn(turn + 1)];
}

const SHOWN = ["name", "content_type", "size", "digest", "node_id", "job_id", "workflow_id", "version", "duration"];

/** Compare what is shown with what the proven events fold into. @param {Asset} asset @param {Trusted} checked */
function compareAsset(asset, checked) {
  const state = empty();
  for (const leaf of checked.events) if (leaf.position <= asset.position) evolve(state, eventOf(leaf), asset.user_id);
  const proven = /** @type {any} */ (state.assets.get(asset.id));
  if (!proven) throw new ProofError("leaf", "the proven events do not record this asset");
  for (const name of [...SHOWN, "tags", "derived_from", "metadata"]) {
    if (canonical(proven[name]) !== canonical(/** @type {any} */ (asset)[name])) throw new ProofError("leaf", `what is shown is not what was recorded: ${name}`);
  }
}

/** @param {any} value @returns {string} */
function canonical(value) {
  return JSON.stringify(value ?? null, (_, x) => (x && typeof x === "object" && !Array.isArray(x) ? Object.fromEntries(Object.entries(x).sort(([a], [b]) => (a < b ? -1 : 1))) : x));
}

const FACES = {
  checking: { icon: "shield-question-mark", title: "Checking", kind: "seal quiet" },
  proven: { icon: "shield-check", title: "Recorded and proven", kind: "seal" },
  unchecked: { icon: "shield-question-mark", title: "Recorded, not checked", kind: "seal quiet" },
  failed: { icon: "shield-alert", title: "Proof failed", kind: "seal bad" },
};

/** The verdict of a proof and of the bytes that are shown with it.
 * @param {Verdict} verdict @param {Asset} asset @param {import("../core/trust.js").Hashed["state"]} bytes @returns {Verdict} */
function withBytes(verdict, asset, bytes) {
  if (verdict.state !== "proven") return verdict;
  if (bytes === "loading") return { state: "checking" };
  if (bytes !== "hashed" || hashed.value.digest === asset.digest) return verdict;
  return { ...verdict, state: "failed", step: "content", why: "the bytes shown are not those that were recorded" };
}

/** The seal of an asset; `bytes`: its preview is shown, too.
 * @param {{asset: Asset, bytes?: boolean}} properties */
export function Seal({ asset, bytes = false }) {
  const [open, setOpen] = useState(false);
  const [proof, again] = useProof(`/api/assets/${asset.id}/proof`, [asset.id, asset.position], (checked) => compareAsset(asset, checked));
  const { id, version, state } = hashed.value;
  const read = !bytes || !asset.get_url ? "" : id === asset.id && version === asset.version ? state : "loading";
  const verdict = withBytes(proof, asset, read);
  useKeys({ p: again }, [again]);
  const face = FACES[verdict.state];
  return html`<div class=${face.kind} role=${verdict.state === "failed" ? "alert" : undefined}>
    ${h(Icon, { name: face.icon })}
    <div><b>${face.title}</b><p>${summary(asset, verdict, read)}</p></div>
    <button class="btn bare small" aria-expanded=${open} onClick=${() => setOpen(!open)}>Details</button>
    ${open && h(Details, { verdict, again, name: `proof-${asset.id}.json`, bytes: asset.digest && h(Bytes, { asset, read }) })}</div>`;
}

const READ = { "": "not checked here", loading: "loading", hashed: "SHA-256 of what is shown:", large: "too large to check here", unread: "could not be loaded" };

/** Whether the bytes were checked, and else the command that does. @param {{asset: Asset, read: keyof typeof READ}} properties */
function Bytes({ asset, read }) {
  const command = `${curl(String(asset.get_url), { version: asset.version })} | sha256sum`;
  return html`<dt>Bytes</dt><dd>${READ[read]} ${read === "hashed" ? h(Id, { id: hashed.value.digest }) : html`<span class="quiet">This prints their digest:</span> <span class="mono wrap">${command}</span>${h(Copy, { text: command, label: "Copy the command" })}`}</dd>`;
}

/** @param {Asset} asset @param {Verdict} verdict @param {string} bytes */
function summary(asset, { state, checked, why }, bytes) {
  if (state === "checking") return "Signature, path and ledger";
  if (state === "unchecked") return why;
  if (state === "failed") return `The proof does not hold: ${why}. Save the proof and tell the operator of this ledger.`;
  return `Event ${count(asset.position)} of ${count(checked?.size ?? 0)}, checked here${bytes === "large" || bytes === "unread" ? " without its bytes" : ""}`;
}

/** Every step with its value. @param {{verdict: Verdict, again: () => void, name: string, bytes?: any}} properties */
export function Details({ verdict, again, name, bytes }) {
  const { checked, proof, state } = verdict;
  return html`<div class="steps">
    ${
      checked &&
      html`<dl class="details">
      <dt>Signature</dt><dd>${h(Icon, { name: "check", small: true })} Ed25519, over ${counted(checked.size, "event")}</dd>
      <dt>Key</dt><dd><span class="mono cut">${short(checked.key.split("+").slice(1).join("+"))}</span>${h(Copy, { text: checked.key, label: "Copy the key" })}
        <span class="quiet">${checked.first ? "first use: kept by this browser now" : `kept by this browser since ${time(checked.seen.since)}`}${checked.rotated > 0 && `, ${counted(checked.rotated, "rotation")} followed`}</span></dd>
      <dt>Root</dt><dd><span class="mono cut">${short(checked.root)}</span>${h(Copy, { text: checked.root, label: "Copy the root" })}</dd>
      <dt>Path</dt><dd>${counted(checked.events.length, "event")}, ${counted(checked.path, "hash", "hashes")} up to the root</dd>
      <dt>Growth</dt><dd>${checked.grew ? `continues the ${counted(checked.grew.size, "event")} seen ${time(checked.grew.seen)}` : "nothing was seen before"}</dd>
      <dt>Fields</dt><dd>those shown are those in the proven events</dd>${bytes}</dl>`
    }
    <p class="quiet">This page came from the server it checks. For a check that needs no trust, take the audit bundle.</p>
    <div class="acts"><button class="btn small" onClick=${again}>${h(Icon, { name: "rotate-ccw", small: true })}Check again</button>
      ${proof && html`<button class="btn small" onClick=${() => save(name, proof)}>${h(Icon, { name: "download", small: true })}Save the proof</button>`}</div>
    ${state === "failed" && html`<p class="quiet">Step: ${verdict.step}</p>`}</div>`;
}

/** Save JSON as a file. @param {string} name @param {unknown} value */
export function save(name, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** The warning that this ledger is not the one that this browser saw. */
export function Fork() {
  const found = fork.value;
  if (!found) return null;
  return html`<div class="strip bad fork" role="alert">
    <span>This ledger is not the one this browser saw on ${time(found.seen.seen)}: its history was rewritten, or it is another one.</span>
    <button class="btn small" onClick=${() => save("checkpoints.json", found)}>Save both checkpoints</button>
    <button class="btn small" onClick=${forget}>Keep this one</button></div>`;
}

/** @param {{job: Job, verdict: any, again: () => void, close: () => void}} properties */
export function ProofDialog({ job, verdict, again, close }) {
  const command = `asset-ledger audit-bundle ${quoted(job.job_id)} --output bundle.zip`;
  return h(
    Dialog,
    { title: "Proof of this job", close, wide: true },
    html`<div class="confirm">
    ${verdict.why && html`<p class=${verdict.state === "failed" ? "wrong" : "quiet"}>${verdict.why}</p>`}
    ${h(Details, { verdict, again, name: `proof-${job.job_id}.json` })}
    <h3>Audit bundle</h3><p class="quiet">Events, contents, proofs and a program that checks them offline, in one zip.</p>
    <p><a class="btn" href=${`/api/jobs/${part(job.job_id)}/bundle`} download>${h(Icon, { name: "download" })}Download the bundle</a></p>
    <div class="command"><pre>${command}</pre>${h(Copy, { text: command, label: "Copy the command" })}</div></div>`,
  );
}
