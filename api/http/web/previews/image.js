// A picture: fit, 100 %, and zoom to 800 % at the pointer by wheel, pinch, keys and double click.
import { visible } from "../core/format.js";
import { h, html, useEffect, useLayoutEffect, useRef, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { Icon } from "../parts/basic.js";
import { useContent, useSource } from "./content.js";
import { useSwipe } from "./swipe.js";

const MOST = 8;
const STEP = 1.25;

/** @typedef {{scale: number, x: number, y: number}} View scale: screen px a picture px; x, y: of its left upper corner */

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail, measure, step }) {
  const swipe = useSwipe(step);
  const box = useRef(null);
  const source = useSource(useContent(asset, url, true), fail);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const zoom = useZoom(box, size);
  const loaded = (/** @type {Event} */ event) => {
    const { naturalWidth, naturalHeight, clientWidth, clientHeight } = /** @type {HTMLImageElement} */ (event.currentTarget);
    const [width, height] = [naturalWidth || clientWidth || 512, naturalHeight || clientHeight || 512];
    setSize({ width, height });
    measure?.(`${width} × ${height}`);
  };
  const { view } = zoom;
  const style = size.width ? { width: `${size.width}px`, height: `${size.height}px`, transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` } : { opacity: "0" };
  const button = (/** @type {string} */ label, /** @type {string} */ icon, /** @type {() => void} */ act) => html`<button class="btn small icon" aria-label=${label} title=${label} onClick=${act}>${h(Icon, { name: icon, small: true })}</button>`;
  return html`<div ref=${box} class=${`viewer picture${view.scale > 3 ? " pixels" : ""}`} tabindex="0" ...${swipe} data-zoomed=${zoom.fitted ? undefined : ""} role="group" aria-label="Picture" onDblClick=${zoom.toggle}>
    <img src=${source || undefined} alt=${`Preview of ${visible(asset.name)}`} style=${style} draggable=${false} onLoad=${loaded} onError=${() => fail("No preview: the picture is broken or of an unknown kind.")} />
    <div class="zoom-bar">${button("Zoom out", "zoom-out", () => zoom.by(1 / STEP))}<button class="btn small num" aria-label=${`${Math.round(view.scale * 100)} %: show in full size`} onClick=${zoom.full}>${Math.round(view.scale * 100)} %</button>${button("Zoom in", "zoom-in", () => zoom.by(STEP))}${button("Fit", "maximize", zoom.fit)}</div></div>`;
}

/** The place of something that is zoomed and moved inside a box.
 * @param {{current: HTMLElement | null}} box @param {{width: number, height: number}} size */
export function useZoom(box, size) {
  const [view, setView] = useState({ scale: 1, x: 0, y: 0 });
  const fitted = useRef(true);
  const fitView = () => {
    const { clientWidth, clientHeight } = /** @type {HTMLElement} */ (box.current);
    const scale = Math.min(1, clientWidth / size.width, clientHeight / size.height);
    return { scale, x: (clientWidth - size.width * scale) / 2, y: (clientHeight - size.height * scale) / 2 };
  };
  const fit = () => {
    fitted.current = true;
    setView(fitView());
  };
  /** Change the scale and keep the point under (px, py) where it is.
   * @param {(scale: number) => number} change @param {number} [px] @param {number} [py] */
  const at = (change, px = /** @type {HTMLElement} */ (box.current).clientWidth / 2, py = /** @type {HTMLElement} */ (box.current).clientHeight / 2) => {
    if (!size.width) return;
    fitted.current = false;
    setView((now) => {
      const scale = Math.min(MOST, Math.max(Math.min(0.05, fitView().scale), change(now.scale)));
      const ratio = scale / now.scale;
      return { scale, x: px - (px - now.x) * ratio, y: py - (py - now.y) * ratio };
    });
  };
  useLayoutEffect(() => {
    if (!size.width) return;
    fit();
    const observer = new ResizeObserver(() => fitted.current && fit());
    observer.observe(/** @type {HTMLElement} */ (box.current));
    return () => observer.disconnect();
  }, [size]);
  usePointers(box, at, (dx, dy, touch) => {
    if (touch && fitted.current) return; // the whole picture is shown: a swipe leads to the next one
    fitted.current = false;
    setView((now) => ({ ...now, x: now.x + dx, y: now.y + dy }));
  });
  const by = (/** @type {number} */ factor) => at((scale) => scale * factor);
  const full = () => at(() => 1);
  const toggle = (/** @type {MouseEvent} */ event) => {
    const area = /** @type {HTMLElement} */ (box.current).getBoundingClientRect();
    if (fitted.current) at((scale) => Math.max(1, scale * 2), event.clientX - area.left, event.clientY - area.top);
    else fit();
  };
  useKeys({ "+": () => by(STEP), "=": () => by(STEP), "-": () => by(1 / STEP), 0: fit }, [size]);
  return { view, by, fit, full, toggle, fitted: fitted.current };
}

/** Wheel and pinch zoom, dragging moves. @param {{current: HTMLElement | null}} box
 * @param {(change: (scale: number) => number, px: number, py: number) => void} at @param {(dx: number, dy: number, touch: boolean) => void} move */
function usePointers(box, at, move) {
  const acts = useRef({ at, move });
  acts.current = { at, move };
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const down = new Map();
    const inside = (/** @type {{clientX: number, clientY: number}} */ event) => {
      const area = element.getBoundingClientRect();
      return /** @type {const} */ ([event.clientX - area.left, event.clientY - area.top]);
    };
    const wheel = (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      const lines = event.deltaMode ? 30 : 1;
      acts.current.at((scale) => scale * Math.exp((-event.deltaY * lines) / 400), ...inside(event));
    };
    const press = (/** @type {PointerEvent} */ event) => {
      if (/** @type {Element} */ (event.target).closest("button, .handle")) return;
      element.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event);
    };
    const moved = (/** @type {PointerEvent} */ event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const other = [...down.values()].find((one) => one.pointerId !== event.pointerId);
      if (other) {
        const reach = (/** @type {PointerEvent} */ one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
        const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
        acts.current.at((scale) => (scale * reach(event)) / reach(before), ...inside(middle));
      } else acts.current.move(event.clientX - before.clientX, event.clientY - before.clientY, event.pointerType === "touch");
      down.set(event.pointerId, event);
    };
    const up = (/** @type {PointerEvent} */ event) => void down.delete(event.pointerId);
    const all = /** @type {[string, any][]} */ ([
      ["pointerdown", press],
      ["pointermove", moved],
      ["pointerup", up],
      ["pointercancel", up],
    ]);
    element.addEventListener("wheel", wheel, { passive: false });
    for (const [name, listener] of all) element.addEventListener(name, listener);
    return () => {
      element.removeEventListener("wheel", wheel);
      for (const [name, listener] of all) element.removeEventListener(name, listener);
    };
  }, []);
}
