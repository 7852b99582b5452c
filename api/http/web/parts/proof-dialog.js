// The proof of a job, step by step, and the audit bundle that needs no trust in this page.
import { h, html } from "../core/html.js";
import { Dialog } from "./dialog.js";
import { Icon } from "./icon.js";
import { Details } from "./seal.js";
import { Copy } from "./text.js";

/** @param {{job: Job, verdict: any, again: () => void, close: () => void}} properties */
export function ProofDialog({ job, verdict, again, close }) {
  const quoted = `'${job.job_id.replaceAll("'", "'\\''")}'`;
  const command = `asset-ledger audit-bundle ${quoted} --output bundle.zip`;
  return h(
    Dialog,
    { title: "Proof of this job", close, wide: true },
    html`<div class="confirm">
    ${verdict.why && html`<p class=${verdict.state === "failed" ? "wrong" : "quiet"}>${verdict.why}</p>`}
    ${h(Details, { verdict, again, name: `proof-${job.job_id}.json` })}
    <h3>Audit bundle</h3><p class="quiet">Events, contents, proofs and a program that checks them offline, in one zip.</p>
    <p><a class="btn" href=${`/api/jobs/${encodeURIComponent(job.job_id)}/bundle`} download>${h(Icon, { name: "download" })}Download the bundle</a></p>
    <div class="command"><pre>${command}</pre>${h(Copy, { text: command, label: "Copy the command" })}</div></div>`,
  );
}
