// A modal dialog on the browser's own <dialog>: Escape closes it, focus returns to where it was.
import { h, html, useId, useLayoutEffect, useRef } from "../core/html.js";
import { Icon } from "./basic.js";

/** @param {{title: string, close: () => void, wide?: boolean, hideTitle?: boolean, children?: any}} properties */
export function Dialog({ title, close, wide, hideTitle, children }) {
  const box = useRef(null);
  const id = useId();
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const element = box.current;
    element.showModal();
    /** @type {HTMLElement | null} */ (element.querySelector("input:not([type=file]), .primary, .danger"))?.focus();
    return () => {
      element.close(); // until then nothing outside can have the focus
      before?.focus?.();
    };
  }, []);
  return html`<dialog ref=${box} class=${wide ? "dialog wide" : "dialog"} aria-labelledby=${id}
    onCancel=${(event) => {
      event.preventDefault();
      close();
    }}
    onClick=${(event) => event.target === box.current && close()}>
    <div class="dialog-body">
      <header class=${hideTitle ? "vh" : ""}><h2 id=${id}>${title}</h2>
        <button class="btn bare small icon" aria-label="Close" onClick=${close}>${h(Icon, { name: "x" })}</button></header>
      ${children}
    </div></dialog>`;
}

/** Ask before something happens. @param {{title: string, action: string, act: () => void, close: () => void, bad?: boolean, children?: any}} properties */
export function Confirm({ title, action, act, close, bad, children }) {
  return h(
    Dialog,
    { title, close },
    html`<div class="confirm">${children}
    <footer><button class="btn" onClick=${close}>Cancel</button>
    <button class=${bad ? "btn danger" : "btn primary"} onClick=${() => {
      close();
      act();
    }}>${action}</button></footer></div>`,
  );
}
