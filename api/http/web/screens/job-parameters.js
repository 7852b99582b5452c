// The parameters of a job, and the error of a failed one first.
import { visible } from "../core/format.js";
import { h, html } from "../core/html.js";
import { Json } from "../parts/json.js";
import { Empty } from "../parts/notice.js";
import { Copy } from "../parts/text.js";

/** @param {{live: import("../core/job.js").LiveJob}} properties */
export function Parameters({ live }) {
  const job = /** @type {Job} */ (live.job.value);
  return html`<div class="scroll"><div class="pad">
    ${job.error && html`<div class="errorbox" role="note">${job.error.split("\n").map((line, k) => html`<div key=${k}>${visible(line)}</div>`)}</div>`}
    ${job.parameters ? html`<p>${h(Copy, { text: JSON.stringify(job.parameters, null, 2), label: "Copy the parameters" })}</p><div class="json">${h(Json, { value: job.parameters })}</div>` : h(Empty, { icon: "sliders-horizontal", title: "This job was started without parameters." })}</div></div>`;
}
