// The status of a job or a run: an icon and a word, never a colour alone.
import { h, html } from "../core/html.js";
import { Icon } from "./icon.js";

/** @type {Record<string, [string, string, string]>} */
const FORMS = {
  completed: ["ok", "circle-check", "Completed"],
  failed: ["bad", "circle-x", "Failed"],
  running: ["accent", "activity", "Running"],
  cancelled: ["warn", "minus", "Cancelled"],
  untracked: ["plain", "info", "Untracked"],
};

/** @param {{status: string, bare?: boolean}} properties bare: an icon with its word for screen readers */
export function Status({ status, bare }) {
  const [kind, icon, word] = FORMS[status] ?? FORMS.untracked;
  if (bare) return html`<span class=${`status ${kind}`} title=${word}>${h(Icon, { name: icon, label: word })}</span>`;
  return html`<span class=${`pill ${kind}`}>${h(Icon, { name: icon, small: true })}${word}</span>`;
}
