// The choice of a folder: those in it, and the way back to home.
import { visible } from "../core/format.js";
import { h, html } from "../core/html.js";
import { useGet } from "../core/rows.js";
import { session } from "../core/session.js";
import { Icon } from "./basic.js";

/** @typedef {{id: string, name: string}} Folder */

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
