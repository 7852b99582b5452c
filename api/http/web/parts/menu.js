// A button that opens a menu: arrows move, Escape closes and gives the focus back.
import { h, html, useEffect, useId, useRef, useState } from "../core/html.js";
import { Icon } from "./basic.js";

/** @typedef {{label: string, icon?: string, act?: () => void, href?: string, download?: string, end?: string, bad?: boolean, checked?: boolean} | "line"} Item */

/** @param {{label: any, name: string, items: Item[], kind?: string, start?: boolean, up?: boolean}} properties
 * label: what the button shows; name: what it is called; kind: its classes */
export function Menu({ label, name, items, kind = "btn icon", start, up }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const box = useRef(null);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("[aria-haspopup]")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const away = (/** @type {Event} */ event) => box.current?.contains(event.target) || setOpen(false);
    box.current?.querySelector("[role^=menuitem]")?.focus();
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  const keys = (/** @type {KeyboardEvent} */ event) => moveInside(event, box.current, close);
  return html`<span class="pop" ref=${box} onKeyDown=${open ? keys : undefined}>
    <button class=${kind} aria-label=${name} title=${name} aria-haspopup="menu" aria-expanded=${open} aria-controls=${open ? id : undefined} onClick=${() => setOpen(!open)}>${label}</button>
    ${
      open &&
      html`<div id=${id} class=${`menu${start ? " start" : ""}${up ? " up" : ""}`} role="menu" aria-label=${name}>
      ${items.map((item, k) => (item === "line" ? html`<hr key=${k} />` : h(Choice, { key: item.label, item, close })))}</div>`
    }</span>`;
}

/** @param {{item: Exclude<Item, "line">, close: () => void}} properties */
function Choice({ item, close }) {
  const inside = html`${item.icon && h(Icon, { name: item.icon })}<span>${item.label}</span>
    ${(item.end || item.checked) && html`<span class="end">${item.checked ? h(Icon, { name: "check", small: true }) : item.end}</span>`}`;
  const act = () => {
    close();
    item.act?.();
  };
  const role = item.checked === undefined ? "menuitem" : "menuitemradio";
  if (item.href) return html`<a role=${role} tabindex="-1" href=${item.href} download=${item.download} onClick=${act}>${inside}</a>`;
  return html`<button role=${role} tabindex="-1" aria-checked=${item.checked} class=${item.bad ? "bad" : undefined} onClick=${act}>${inside}</button>`;
}

/** @param {KeyboardEvent} event @param {HTMLElement | null} box @param {() => void} close */
function moveInside(event, box, close) {
  const items = [...(box?.querySelectorAll("[role^=menuitem]") ?? [])].map((item) => /** @type {HTMLElement} */ (item));
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (to !== undefined) items.at(to % items.length)?.focus();
  else if (event.key !== "Enter" && event.key !== " ") return;
  if (event.key !== "Tab" && event.key !== "Enter" && event.key !== " ") event.preventDefault();
  event.stopPropagation();
}
