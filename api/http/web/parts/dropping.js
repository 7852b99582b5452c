// Files dropped anywhere on the page are uploaded.
import { h, html, useEffect, useState } from "../core/html.js";
import { progress, ticks } from "../core/upload.js";
import { uploadDrop, UploadPill } from "./upload.js";

const hasFiles = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.types.includes("Files"));

/** Listens for drops; shows where they go, and uploads under way. */
export function Dropping() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (/** @type {DragEvent} */ event) => void (event.relatedTarget || setOver(false));
    const drop = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      uploadDrop(event.dataTransfer);
    };
    const stay = (/** @type {BeforeUnloadEvent} */ event) => void (progress().active && event.preventDefault());
    const all = /** @type {[string, any][]} */ ([
      ["dragover", drag],
      ["dragleave", leave],
      ["drop", drop],
      ["beforeunload", stay],
    ]);
    for (const [name, listener] of all) addEventListener(name, listener);
    return () => {
      for (const [name, listener] of all) removeEventListener(name, listener);
    };
  }, []);
  ticks.value;
  return html`${over && html`<div class="dropzone" aria-hidden="true"><p>Drop to upload</p></div>`}${h(UploadPill, {})}`;
}
