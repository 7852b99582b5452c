// The dialog that uploads, and the pill that stays while uploads are under way.
import { bytes, count, duration, visible } from "../core/format.js";
import { h, html, signal, useEffect, useRef, useState } from "../core/html.js";
import { place } from "../core/route.js";
import { useFolderName } from "../core/rows.js";
import { cancel, clearDone, dropped, items, pause, paused, progress, ticks, tryAgain, upload } from "../core/upload.js";
import { FolderChoice, home } from "./actions.js";
import { Icon, IconButton, Name, Problem } from "./basic.js";
import { corner, Dialog, show, toastError } from "./over.js";

/** @typedef {import("../core/upload.js").Item} Item */

const SHOWN = 200;
const ORDER = { failed: 0, sending: 1, pausing: 2, waiting: 3, done: 4 };

const BLANK = { node_id: "", job_id: "", tags: "" };
/** What the fields of the dialog hold, also for files that are dropped while it is open. */
const written = signal(BLANK);
/** The way to the folder that was chosen in the dialog; null: the folder that is shown.
 * @type {import("../core/html.js").Signal<import("./actions.js").Folder[] | null>} */
const chosen = signal(null);

/** Open the dialog. */
export const askUpload = () => show(Upload, {});

/** The fields of the next files, and the folder to put them in. */
function fieldsNow() {
  const { node_id, job_id, tags } = written.value;
  const parent_id = chosen.value?.at(-1)?.id ?? place.value.query.get("parent_id") ?? undefined;
  return {
    parent_id,
    node_id: node_id.trim(),
    job_id: job_id.trim(),
    tags: tags.split(",").map((tag) => tag.trim()),
  };
}

/** Upload what was dropped. @param {FileSystemEntry[]} entries @param {File[]} files */
export async function uploadDrop(entries, files) {
  try {
    const fields = fieldsNow();
    for (const group of await dropped(entries, files, fields.parent_id ?? "")) upload(group.files, { ...fields, parent_id: group.parent_id || undefined });
    askUpload();
  } catch (error) {
    toastError(error, () => uploadDrop(entries, files));
  }
}

/** Forget what is done, and what was written for it. */
function closed() {
  written.value = BLANK;
  chosen.value = null;
  if (!progress().active) clearDone();
}

/** @param {{close: () => void}} properties */
function Upload({ close }) {
  ticks.value;
  const fields = written.value;
  const input = useRef(null);
  useEffect(() => closed, []);
  const choose = (/** @type {any} */ event) => {
    upload([...event.target.files], fieldsNow());
    event.target.value = "";
  };
  const field = (/** @type {"node_id" | "job_id" | "tags"} */ name, /** @type {string} */ label) => html`<label class="field">${label}
    <input class="input" value=${fields[name]} onInput=${(event) => (written.value = { ...fields, [name]: event.target.value })} /></label>`;
  const rows = [...items].sort((a, b) => ORDER[a.state] - ORDER[b.state] || a.id - b.id);
  return h(
    Dialog,
    { title: "Upload", close, wide: true },
    html`<div class="upload">${h(Target, {})}
    <div class="fields">${field("node_id", "Node")}${field("job_id", "Job")}${field("tags", "Tags, with commas")}</div>
    <input ref=${input} type="file" multiple class="vh" tabindex="-1" aria-label="Files" onChange=${choose} />
    ${items.length ? h(Progress, {}) : null}
    ${items.length ? html`<ul class="files">${rows.slice(0, SHOWN).map((item) => h(Row, { key: item.id, item, state: item.state, sent: item.sent }))}</ul>` : html`<p class="drop">Drop files or folders here, or choose files.</p>`}
    ${rows.length > SHOWN && html`<p class="quiet">and ${count(rows.length - SHOWN)} more</p>`}
    <footer><button class="btn primary" onClick=${() => input.current?.click()}>${h(Icon, { name: "plus" })}Choose files</button></footer></div>`,
  );
}

/** The folder that files are put in, and the choice of another. */
function Target() {
  const [open, setOpen] = useState(false);
  const shown = place.value.query.get("parent_id");
  const name = useFolderName(shown);
  const path = chosen.value ?? (shown && shown !== home().id ? [home(), { id: shown, name }] : [home()]);
  return html`<button class="btn" aria-expanded=${open} onClick=${() => setOpen(!open)}>${h(Icon, { name: "folder", color: "var(--m-folder)" })}To <bdi class="cut">${visible(path[path.length - 1].name)}</bdi>${h(Icon, { name: open ? "chevron-up" : "chevron-down", small: true })}</button>
    ${open && h(FolderChoice, { path, setPath: (to) => (chosen.value = to) })}`;
}

function Progress() {
  ticks.value;
  const now = progress();
  const share = now.total ? now.sent / now.total : now.done / now.count;
  return html`<div class="whole"><div class="line"><b class="num">${count(now.done)} of ${count(now.count)}</b>
      <span class="num">${bytes(now.sent)} of ${bytes(now.total)}</span>
      ${now.active && now.rate > 0 && html`<span class="num">${bytes(now.rate)}/s</span>`}${now.active && now.left !== null && html`<span class="num">${duration(now.left)} left</span>`}
      ${now.failed > 0 && html`<span class="wrong">${count(now.failed)} failed</span>`}
      <span class="sp">${now.active && html`<button class="btn small" onClick=${pause}>${paused.value ? "Go on" : "Pause"}</button>`}${!now.active && html`<button class="btn small" onClick=${clearDone}>Clear</button>`}</span></div>
    <progress max="1" value=${share} aria-label="All files"></progress></div>`;
}

/** @param {{item: Item, state: string, sent: number}} properties */
function Row({ item, state }) {
  const name = visible(item.file.name);
  const button = (/** @type {string} */ label, /** @type {string} */ icon, /** @type {(item: Item) => void} */ act) => h(IconButton, { icon, label: `${label} ${name}`, act: () => act(item) });
  const icon = { done: "check", failed: "circle-alert", sending: "upload", pausing: "clock", waiting: "clock" }[state] ?? "clock";
  return html`<li class=${state}>${h(Icon, { name: icon, small: true })}${h(Name, { name: item.file.name })}
    <span class="what">${state === "sending" ? html`<progress max=${item.file.size || 1} value=${item.sent} aria-label=${name}></progress>` : state === "failed" ? html`<span class="wrong">${h(Problem, { error: item.error })}</span>` : state === "pausing" ? html`<span class="quiet">Trying again</span>` : ""}</span>
    <span class="num quiet">${bytes(item.file.size)}</span>
    ${state === "failed" ? button("Try again", "rotate-ccw", tryAgain) : state === "done" ? html`<span class="room"></span>` : button("Cancel", "x", cancel)}</li>`;
}

/** What is left of the dialog when it is closed. */
function UploadPill() {
  ticks.value;
  const now = progress();
  if (!now.active) return null;
  return html`<button class="btn primary pill-button num" onClick=${askUpload}>${h(Icon, { name: "upload", small: true })}${count(now.done)} of ${count(now.count)} uploaded</button>`;
}

corner.value = UploadPill;
addEventListener("beforeunload", (event) => progress().active && event.preventDefault());
