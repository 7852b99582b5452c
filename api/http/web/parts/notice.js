// What a screen shows instead of data: nothing yet, a refusal, no connection.
import { ApiError, OfflineError } from "../core/api.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { Icon } from "./icon.js";
import { Copy } from "./text.js";

/** @param {{icon?: string, title: string, children?: any}} properties */
export function Empty({ icon = "images", title, children }) {
  return html`<div class="empty">${h(Icon, { name: icon })}<p class="title">${title}</p>${children}</div>`;
}

/** A refusal or fault, with the request id to copy and a way to try again.
 * @param {{error: unknown, retry?: () => void}} properties */
export function Failure({ error, retry }) {
  const text = error instanceof ApiError && error.status >= 500 && !error.slug ? "That did not work: a fault of ours." : /** @type {Error} */ (error).message;
  const id = error instanceof ApiError ? error.requestId : "";
  return html`<div class="failure" role="alert">
    ${h(Icon, { name: error instanceof OfflineError ? "wifi-off" : "circle-alert" })}
    <p>${text}</p>
    ${id && html`<p class="quiet">Request <span class="mono">${id}</span> ${h(Copy, { text: id, label: "Copy the request id" })}</p>`}
    ${retry && html`<button class="btn" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** Grey boxes of the final size, shown after 150 ms. @param {{lines?: number}} properties */
export function Skeleton({ lines = 3 }) {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return shown && html`<div class="skeleton" aria-hidden="true">${Array.from({ length: lines }, (_, k) => html`<i key=${k} />`)}</div>`;
}
