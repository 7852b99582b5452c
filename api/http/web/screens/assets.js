// Assets at `/`: everything that was recorded, newest first.
import { h, html, useState } from "../core/html.js";
import { session } from "../core/session.js";
import { Copy, Icon, Page, useTitle } from "../parts/basic.js";
import { Beside, Gallery } from "../parts/gallery.js";
import { askUpload } from "../parts/dropping.js";

export function Screen() {
  useTitle("Assets");
  return html`${h(Page, { title: "Assets" }, h(Gallery, { empty: h(First, {}) }))}${h(Beside, {})}`;
}

/** How an asset is recorded without the console. A token is read from the environment.
 * @type {Record<string, (url: string, isLocal: boolean) => string>} */
const COMMANDS = {
  curl: (url, isLocal) => `echo 'hello' | curl -X POST '${url}/api/assets?name=hello.txt' \\\n ${isLocal ? "" : ' -H "Authorization: Bearer $ASSET_LEDGER_TOKEN"'} -H 'Content-Type: text/plain' --data-binary @-`,
  Python: (url) => `from asset_ledger import sync\n\nwith sync.connect("${url}"):\n    sync.ProcessingContext().create_asset("hello.txt", "text/plain", b"hello")`,
};

/** What an empty ledger shows: how its first asset is recorded. */
function First() {
  const [by, setBy] = useState("curl");
  const isLocal = session.value?.auth === "local";
  const command = COMMANDS[by](location.origin, isLocal);
  return html`<div class="empty first">${h(Icon, { name: "images" })}<p class="title">No assets yet.</p>
    <p>Drop files here, or record one from a terminal${isLocal ? "" : html`, with your token in <span class="mono">ASSET_LEDGER_TOKEN</span>`}:</p>
    <div class="command"><pre tabindex="0">${command}</pre>${h(Copy, { text: command, label: "Copy the command" })}</div>
    <div class="seg" role="group" aria-label="Language">${Object.keys(COMMANDS).map((name) => html`<button key=${name} aria-pressed=${by === name} onClick=${() => setBy(name)}>${name}</button>`)}</div>
    <button class="btn primary" onClick=${askUpload}>${h(Icon, { name: "upload" })}Upload files</button></div>`;
}
