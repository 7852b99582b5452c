// Files dropped anywhere on the page are uploaded. What uploads is loaded when it is first needed.
import { html, signal } from "../core/html.js";

const uploads = () => import("./upload.js");

/** Open the dialog that uploads. */
export const askUpload = () => uploads().then((module) => module.askUpload());

const over = signal(false);

/** Do something with an event about files. @param {(event: DragEvent) => void} act */
const withFiles = (act) => (/** @type {DragEvent} */ event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  over.value = event.type === "dragover";
  act(event);
};

addEventListener("dragover", withFiles(uploads)); // is here before the drop
addEventListener("dragleave", (event) => event.relatedTarget || (over.value = false));
addEventListener(
  "drop",
  withFiles(({ dataTransfer }) => {
    const { items, files } = /** @type {DataTransfer} */ (dataTransfer);
    const entries = [...items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
    const dropped = [...files]; // both are empty after this event
    uploads().then((module) => module.uploadDrop(entries, dropped));
  }),
);

/** Shows where files are dropped. */
export const Dropping = () => over.value && html`<div class="dropzone" aria-hidden="true"><p>Drop to upload</p></div>`;
