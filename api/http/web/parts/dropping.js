// Files dropped anywhere on the page are uploaded. What uploads is loaded when it is first needed.
import { html, useEffect, useState } from "../core/html.js";

const uploads = () => import("./upload.js");

/** Open the dialog that uploads. */
export const askUpload = () => uploads().then((module) => module.askUpload());

const hasFiles = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.types.includes("Files"));

/** Listens for drops, and shows where they go. */
export function Dropping() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
      uploads(); // is here before the drop
    };
    const leave = (/** @type {DragEvent} */ event) => void (event.relatedTarget || setOver(false));
    const drop = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      const entries = [...event.dataTransfer.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
      const files = [...event.dataTransfer.files]; // both are empty after this event
      uploads().then((module) => module.uploadDrop(entries, files));
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
    };
  }, []);
  return over && html`<div class="dropzone" aria-hidden="true"><p>Drop to upload</p></div>`;
}
