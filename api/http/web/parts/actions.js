// What people do with assets: download, tag, move, delete, restore. Each says what it did, and
// what can be undone offers that.
import { get, send, write } from "../core/api.js";
import { count, counted, visible } from "../core/format.js";
import { h, html, useState } from "../core/html.js";
import { reloads, touched } from "../core/live.js";
import { useGet } from "../core/rows.js";
import { session } from "../core/session.js";
import { Icon, Problem } from "./basic.js";
import { Confirm, Dialog, hide, show, toast, toastError } from "./over.js";

/** @typedef {{id: string, name: string}} Folder */

const quoted = (/** @type {Asset[]} */ assets) => (assets.length === 1 ? visible(assets[0].name) : counted(assets.length, "asset"));

/** Download one content, or a zip of many. The browser saves what it gets, and would show a refusal
 * in the place of the console: so the same is asked for before, up to its head. @param {Asset[]} assets */
export const download = (assets) =>
  attempt(async () => {
    const body = new URLSearchParams(assets.map((asset) => ["asset_ids", asset.id]));
    const [{ get_url: one, name }] = assets;
    const single = assets.length === 1 && one;
    await (single ? begun(one) : begun("/api/assets/download", { method: "POST", body }));
    if (single) {
      const link = document.createElement("a");
      link.href = one;
      link.download = name;
      link.click();
      return;
    }
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/api/assets/download";
    for (const [name, value] of body) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      form.append(field);
    }
    document.body.append(form);
    form.submit();
    form.remove();
  });

/** Send a request, and end it once its answer has begun. @param {string} path @param {RequestInit} [options] */
async function begun(path, options) {
  const ends = new AbortController();
  await send(path, { ...options, signal: ends.signal });
  ends.abort();
}

/** Do something and say what happened; a refusal is shown in the server's words.
 * @param {() => Promise<void>} act */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    toastError(error, () => attempt(act));
  }
}

/** Change assets together: all are checked before the first one is changed.
 * @param {Asset[]} assets @param {{add_tags?: string[], remove_tags?: string[], parent_id?: string}} change */
async function update(assets, change) {
  const ids = assets.map((asset) => asset.id);
  try {
    await write("POST", "/api/assets/bulk-update", { ids, ...change });
  } finally {
    touched(ids);
  }
}

/** @param {string[]} ids @param {number} size */
const chunks = (ids, size) => Array.from({ length: Math.ceil(ids.length / size) }, (_, k) => ids.slice(k * size, (k + 1) * size));

/** @param {Asset[]} assets */
export function askDelete(assets) {
  const folder = assets.length === 1 && assets[0].content_type === "folder";
  const text = folder ? `Delete ${quoted(assets)} and the assets in it? They can be restored.` : assets.length === 1 ? `Delete ${quoted(assets)}? It stays in the record and can be restored.` : `Delete ${quoted(assets)}? They stay in the record and can be restored.`;
  const title = assets.length === 1 ? "Delete this asset" : "Delete these assets";
  show(Confirm, { title, action: "Delete", bad: true, act: () => remove(assets), children: html`<p>${text}</p>` });
}

/** @param {Asset[]} assets */
export const remove = (assets) =>
  attempt(async () => {
    const ids = assets.map((asset) => asset.id);
    if (ids.length === 1) await write("DELETE", `/api/assets/${ids[0]}`);
    else for (const id of chunks(ids, 200)) await write("POST", "/api/assets/bulk-delete", { filter: { id }, expected_count: id.length });
    undoable = assets;
    touched(ids, ids);
    reloads.value += 1;
    offered = toast(`${assets.length === 1 ? quoted(assets) : count(assets.length)} deleted.`, { action: "Undo", act: () => restore(assets) });
  });

/** @type {Asset[]} */
let undoable = [];
/** Take the offer to undo away. */
let offered = () => {};
/** Restore what was deleted last. */
export function undo() {
  if (undoable.length) restore(undoable);
}

/** @param {Asset[]} assets */
export const restore = (assets) =>
  attempt(async () => {
    undoable = [];
    offered();
    const all = assets.map((asset) => asset.id);
    for (const ids of chunks(all, 256)) await write("POST", "/api/assets/bulk-restore", { ids });
    touched(all);
    reloads.value += 1;
    toast(`${assets.length === 1 ? quoted(assets) : count(assets.length)} restored.`);
  });

/** @param {Asset[]} assets */
export const askTags = (assets) => show(TagDialog, { assets });

/** @param {{assets: Asset[], close: () => void}} properties */
function TagDialog({ assets, close }) {
  const { value: now } = useGet("/api/assets", { id: assets.slice(0, 100).map((asset) => asset.id), page_size: 100 });
  const all = [...new Set(/** @type {Asset[]} */ (now?.assets ?? assets).flatMap((asset) => asset.tags))];
  const [text, setText] = useState("");
  const [removed, setRemoved] = useState(/** @type {string[]} */ ([]));
  const { value } = useGet("/api/assets/values", { field: "tag", prefix: text.split(",").pop()?.trim(), limit: 10 });
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    const add = text
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean);
    close();
    if (!add.length && !removed.length) return;
    attempt(async () => {
      await update(assets, { add_tags: add, remove_tags: removed });
      toast(`Tags of ${quoted(assets)} changed.`);
    });
  };
  return h(
    Dialog,
    { title: `Tags of ${quoted(assets)}`, close },
    html`<form class="confirm" onSubmit=${save}>
    <label class="field">New tags, with commas between them
      <input class="input" list="known-tags" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <datalist id="known-tags">${value?.values.map((/** @type {any} */ row) => html`<option key=${row.value} value=${row.value} />`)}</datalist>
    ${
      all.length > 0 &&
      html`<div class="tags">${all
        .filter((tag) => !removed.includes(tag))
        .map(
          (tag) => html`<span class="tag" key=${tag}><bdi>${visible(tag)}</bdi>
      <button type="button" aria-label=${`Remove the tag ${visible(tag)}`} onClick=${() => setRemoved([...removed, tag])}>${h(Icon, { name: "x", small: true })}</button></span>`,
        )}</div>`
    }
    <footer><button type="button" class="btn" onClick=${close}>Cancel</button><button class="btn primary">Save</button></footer></form>`,
  );
}

/** Remove one tag. @param {Asset} asset @param {string} tag */
export const untag = (asset, tag) => attempt(() => update([asset], { remove_tags: [tag] }));

/** @param {Asset[]} assets */
export const askMove = (assets) => show(MoveDialog, { assets });

/** @param {{assets: Asset[], close: () => void}} properties */
function MoveDialog({ assets, close }) {
  const [path, setPath] = useState([home()]);
  const here = path[path.length - 1];
  const move = () => {
    close();
    attempt(async () => {
      await update(assets, { parent_id: here.id });
      toast(`${quoted(assets)} moved to ${visible(here.name)}.`);
    });
  };
  return h(
    Dialog,
    { title: `Move ${quoted(assets)}`, close },
    html`<div class="confirm">${h(FolderChoice, { path, setPath, without: assets })}
    <footer><button class="btn" onClick=${() => askFolder(here, assets)}>New folder</button>
      <button class="btn" onClick=${close}>Cancel</button><button class="btn primary" onClick=${move}>Move here</button></footer></div>`,
  );
}

const MOVED_ON = new Set(["precondition-failed", "version-conflict"]);

/** Ask for a name. What refuses it is said beside it; a newer version of the asset is shown, to choose.
 * @param {{title: string, asset?: Asset, action: string, save: (name: string, etag?: string) => Promise<void>, close: () => void}} properties */
function NameDialog({ title, asset, action, save, close }) {
  const [name, setName] = useState(asset?.name ?? "");
  const [error, setError] = useState(/** @type {any} */ (null));
  const [theirs, setTheirs] = useState(/** @type {Asset | null} */ (null));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await save(name.trim(), (theirs ?? asset)?.etag);
    } catch (/** @type {any} */ failed) {
      const newer = asset && MOVED_ON.has(failed.slug);
      setTheirs(newer ? await get(`/api/assets/${asset.id}`).catch(() => null) : null);
      setError(failed);
    }
  };
  const buttons = theirs ? ["Keep theirs", "Use mine"] : ["Cancel", action];
  return h(
    Dialog,
    { title, close },
    html`<form class="confirm" onSubmit=${submit}>
    <label class="field">Name <input class="input" required value=${name} aria-invalid=${Boolean(error)} onInput=${(event) => setName(event.target.value)} /></label>
    ${error && html`<p class="wrong" role="alert">${theirs ? html`The asset changed since you opened it: it is now at version ${count(theirs.version)}, named <bdi>${visible(theirs.name)}</bdi>.` : h(Problem, { error })}</p>`}
    <footer><button type="button" class="btn" onClick=${close}>${buttons[0]}</button><button class="btn primary">${buttons[1]}</button></footer></form>`,
  );
}

/** Make a folder, then go back to moving assets. @param {{id: string, name: string}} parent @param {Asset[]} assets */
function askFolder(parent, assets) {
  const save = async (/** @type {string} */ name) => {
    await write("POST", "/api/assets", { name, content_type: "folder", parent_id: parent.id });
    askMove(assets);
  };
  show(NameDialog, { title: `New folder in ${visible(parent.name)}`, action: "Make", save });
}

/** Ask for a new name. @param {Asset} asset */
export function askRename(asset) {
  const save = async (/** @type {string} */ name, /** @type {string | undefined} */ etag) => {
    await write("PATCH", `/api/assets/${asset.id}`, { name }, { "If-Match": `"${etag}"` });
    touched([asset.id]);
    hide();
  };
  show(NameDialog, { title: "Rename", asset, action: "Rename", save });
}

/** The folder of a user that is in no other. @returns {Folder} */
export const home = () => ({ id: session.value?.user_id ?? "", name: "Home" });

/** @param {{path: Folder[], setPath: (path: Folder[]) => void, without?: Asset[]}} properties
 * path: from home to the folder that is chosen; without: folders that cannot be chosen */
export function FolderChoice({ path, setPath, without = [] }) {
  const here = path[path.length - 1];
  const { value, error } = useGet("/api/assets", { content_type: "folder", parent_id: here.id, sort: "name", page_size: 200 });
  /** @type {Asset[] | undefined} */
  const folders = error ? [] : value?.assets.filter((/** @type {Asset} */ folder) => !without.some((asset) => asset.id === folder.id));
  return html`<nav class="crumb" aria-label="Folder">${path.map(
    (folder, k) => html`${k > 0 && h(Icon, { name: "chevron-right", small: true })}
      <button type="button" key=${folder.id} class="btn bare small" onClick=${() => setPath(path.slice(0, k + 1))}>${visible(folder.name)}</button>`,
  )}</nav>
    <ul class="folders">${folders?.map(
      (folder) => html`<li key=${folder.id}><button type="button" class="btn bare" onClick=${() => setPath([...path, folder])}>
      ${h(Icon, { name: "folder", color: "var(--m-folder)" })}<bdi class="cut">${visible(folder.name)}</bdi>${h(Icon, { name: "chevron-right", small: true })}</button></li>`,
    )}
      ${folders?.length === 0 && html`<li class="quiet">No folders in ${visible(here.name)}.</li>`}</ul>`;
}
