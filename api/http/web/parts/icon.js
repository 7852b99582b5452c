// Icons of icons.svg, and the mark of the product.
import { html } from "../core/html.js";

const SPRITE = new URL("../icons.svg", import.meta.url).href;

/** @param {{name: string, small?: boolean, label?: string, color?: string}} properties */
export function Icon({ name, small, label, color }) {
  const role = label ? "img" : undefined;
  return html`<svg class=${small ? "i s" : "i"} viewBox="0 0 24 24" role=${role} aria-label=${label}
    aria-hidden=${label ? undefined : "true"} style=${color ? { color } : undefined}><use href=${`${SPRITE}#${name}`} /></svg>`;
}

/** A page whose lines close into a seal. */
export function Mark() {
  return html`<svg viewBox="0 0 24 24" aria-hidden="true">
    <rect x="2" y="2" width="20" height="20" rx="6" fill="var(--accent)" />
    <path d="M7 7.5h7M7 12h4M7 16.5h3" stroke="var(--on-accent)" stroke-width="1.8" stroke-linecap="round" fill="none" />
    <circle cx="15.6" cy="14.6" r="3.4" stroke="var(--on-accent)" stroke-width="1.8" fill="none" />
    <circle cx="15.6" cy="14.6" r="1" fill="var(--on-accent)" /></svg>`;
}
