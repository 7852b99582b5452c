// The keys of the console, and whether single ones act.
import { Dialog } from "./over.js";
import { h, html } from "../core/html.js";
import { singleKeys } from "../core/prefs.js";

const KEYS = {
  Everywhere: { "Ctrl K": "jump", "/": "filter", "?": "these keys", "g a": "assets", "g j": "jobs", "g u": "usage", "g l": "ledger", t: "theme", Esc: "back, close" },
  "Grid and tables": { "← ↑ → ↓": "move", "Home End": "first, last", "PgUp PgDn": "a page", Enter: "open", Space: "look", x: "select", Shift: "extends", d: "download", e: "tag", m: "move", Del: "delete", z: "undo" },
  Asset: { "j k": "next, previous", "+ − 0": "zoom", v: "versions", p: "check again", c: "copy the id" },
  Replay: { Space: "play", "← →": "an event", "Shift ← →": "ten", "Home End": "first, last", ", .": "speed", o: "time or order" },
};

/** @param {{close: () => void}} properties */
export function Help({ close }) {
  return h(
    Dialog,
    { title: "Keys", close, wide: true },
    html`<div class="confirm">${Object.entries(KEYS).map(([where, keys]) => html`<section class="sec"><h3>${where}</h3><dl class="details">${Object.entries(keys).map(([key, what]) => html`<dt key=${key}><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl></section>`)}
    <label><input type="checkbox" checked=${singleKeys.value} onChange=${() => (singleKeys.value = !singleKeys.value)} /> Single keys act</label></div>`,
  );
}
