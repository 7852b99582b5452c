// Assets at `/`: everything that was recorded, newest first.
import { h, html, useEffect } from "../core/html.js";
import { Copy, Icon } from "../parts/basic.js";
import { Beside, Gallery } from "../parts/gallery.js";
import { askUpload } from "../parts/dropping.js";

export function Screen() {
  useEffect(() => void (document.title = "Assets · Asset Ledger"), []);
  return html`<main class="main" id="main"><h1 class="vh">Assets</h1>${h(Gallery, { empty: h(First, {}) })}</main>${h(Beside, {})}`;
}

/** What an empty ledger shows: how its first asset is recorded. */
function First() {
  const command = `echo 'hello' | curl -X POST '${location.origin}/api/assets?name=hello.txt' \\\n  -H 'Content-Type: text/plain' --data-binary @-`;
  return html`<div class="empty first">${h(Icon, { name: "images" })}<p class="title">No assets yet.</p>
    <p>Drop files here, or record one from a terminal:</p>
    <div class="command"><pre tabindex="0">${command}</pre>${h(Copy, { text: command, label: "Copy the command" })}</div>
    <button class="btn primary" onClick=${askUpload}>${h(Icon, { name: "upload" })}Upload files</button></div>`;
}
