// Short messages at the bottom of the page, with at most one action.
import { html, signal } from "../core/html.js";

/** @typedef {{id: number, text: string, action?: string, act?: () => void, bad?: boolean}} Message */

/** @type {import("../core/html.js").Signal<Message[]>} */
const messages = signal([]);
let last = 0;

/** Show a message for ten seconds.
 * @param {string} text @param {{action?: string, act?: () => void, bad?: boolean}} [options] */
export function toast(text, options = {}) {
  const id = ++last;
  messages.value = [...messages.value, { id, text, ...options }];
  setTimeout(() => dismiss(id), 10_000);
}

/** @param {number} id */
function dismiss(id) {
  messages.value = messages.value.filter((message) => message.id !== id);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">${messages.value.map(
    (message) => html`
    <div key=${message.id} class=${message.bad ? "toast bad" : "toast"}><span>${message.text}</span>
      ${
        message.action &&
        html`<button class="btn bare small" onClick=${() => {
          dismiss(message.id);
          message.act?.();
        }}>${message.action}</button>`
      }
    </div>`,
  )}</div>`;
}
