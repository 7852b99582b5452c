// The windowed grid and list of assets: cells have one size, rows outside the window are not there.
// The focus stays on the list; the active row is named by aria-activedescendant, so that it survives.
import { bytes, count, group, ICON, visible } from "../core/format.js";
import { effect, h, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../core/html.js";
import { MAX_HEIGHT, scrollTo, windowOf } from "../core/pages.js";
import { columnWidths } from "../core/prefs.js";
import { keepScroll, keptScroll } from "../core/route.js";
import { Icon, Name, Time } from "./basic.js";
import { Caption, Face } from "./tile.js";

/** @typedef {import("../core/pages.js").PagedList<Asset>} List */
/** @typedef {{list: List, view: string, size: number, picked: Map<string, Asset>, open: string, at: number,
 *   jump: {row: number, n: number}, from: string, onPlace?: (place: string | null) => void, setAt: (index: number) => void, onFirst: (index: number) => void,
 *   onOpen: (asset: Asset, index: number) => void, onEnter: (asset: Asset) => void,
 *   onPick: (index: number, range: boolean) => void, columns?: any}} Properties
 * from: the place to begin at; onPlace: keeps where the reader is; null at the beginning */

const SETTLED = 400; // milliseconds without a scroll, after which a place is kept

/** @param {{width: number, height: number}} box @param {string} view @param {number} size */
function layoutOf(box, view, size) {
  const small = box.width < 480;
  if (view === "list") return { columns: 1, rowHeight: small ? 56 : 44, column: "minmax(0, 1fr)", face: 0, gap: 0 };
  const [gapX, gapY, cap] = small ? [8, 10, 36] : [12, 14, 41];
  const inner = Math.max(1, box.width);
  const columns = Math.max(1, Math.floor((inner + gapX) / ((small ? Math.min(size, 104) : size) + gapX)));
  const cell = (inner - gapX * (columns - 1)) / columns;
  // in px, so that nothing is laid out twice when a panel takes its place; faces differ by steps, so that they stay as they are
  return { columns, rowHeight: Math.round(cell * 0.75) + cap + gapY, column: `${cell}px`, face: Math.round(cell / 32) * 32, gap: gapY };
}

/** @param {{current: HTMLElement | null}} scroller */
function useBox(scroller) {
  const [box, setBox] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = /** @type {HTMLElement} */ (scroller.current);
    const measure = () => {
      const style = getComputedStyle(element);
      setBox({ width: element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), height: element.clientHeight });
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  return box;
}

/** @param {Properties} properties */
export function Grid(properties) {
  const { list, view, size, at, jump, onFirst, from, onPlace } = properties;
  const scroller = useRef(null);
  const box = useBox(scroller);
  const [, draw] = useState({});
  const layout = layoutOf(box, view, size);
  list.changes.value; // draws again when a page arrives
  const rows = Math.ceil(list.length / layout.columns);
  const shape = { viewHeight: box.height, rowHeight: layout.rowHeight, rows };
  const restored = useRef(/** @type {unknown} the parameters of the list whose place was restored */ (null));
  const isPlaced = () => restored.current === list.params;
  const first = useRef(0); // index at the top
  const top = useRef(0); // px that are scrolled: to read them from the box would lay it out
  useMemo(() => isPlaced() && (top.current = scrollTo(Math.floor(first.current / layout.columns), shape)), [layout.columns, layout.rowHeight]);
  // a whole number of rows, so that a step within a row draws nothing; a scaled box moves with each
  const whole = (/** @type {number} */ y) => (rows * layout.rowHeight > MAX_HEIGHT ? y : Math.floor(y / layout.rowHeight) * layout.rowHeight);
  const shown = windowOf({ scrollTop: whole(top.current), ...shape, overscan: 2 });
  const [start, stop] = [shown.start * layout.columns, Math.min(list.length, shown.stop * layout.columns)];
  useNeeded(list, start, Math.max(stop, start + 1), box.width > 0);
  useEffect(() => onFirst(Math.min(start && start + 3 * layout.columns, Math.max(0, list.length - 1))), [start, layout.columns]);
  const moved = (/** @type {number} */ y) => {
    if (isPlaced()) keepScroll(y); // else the rows of another list go away
    if (y === top.current) return;
    first.current = windowOf({ scrollTop: y, ...shape, overscan: 0 }).start * layout.columns;
    const before = whole(top.current);
    top.current = y;
    if (whole(y) !== before) draw({});
  };
  const scroll = (/** @type {number} */ y) => {
    const element = /** @type {HTMLElement} */ (scroller.current);
    element.scrollTo({ top: y });
    moved(element.scrollTop); // its event may come after a change of the columns
  };
  useEffect(() => {
    if (jump.n) scroll(scrollTo(Math.floor(jump.row / layout.columns), shape));
  }, [jump.n]);
  const isAtInView = useRef(false); // before the present drawing
  useLayoutEffect(() => {
    if (isPlaced() || !list.length || !box.height) return;
    restored.current = list.params;
    scroll(keptScroll() ?? scrollTo(Math.floor(list.enter(from) / layout.columns), shape));
  }, [list, list.length, box.height]);
  useEffect(() => {
    if (!isPlaced() || !onPlace) return;
    const timer = setTimeout(() => onPlace(first.current ? list.placeOf(first.current) : null), SETTLED);
    return () => clearTimeout(timer);
  }, [list, whole(top.current)]);
  const show = (/** @type {number} */ index) => {
    const y = scrollTo(Math.floor(index / layout.columns), shape);
    if (y < top.current) scroll(y);
    else if (y + layout.rowHeight + 20 > top.current + box.height) scroll(y + layout.rowHeight + 20 - box.height);
  };
  useEffect(() => void (list.length && box.height && at >= 0 && restored.current && show(at)), [at]);
  useLayoutEffect(() => {
    if (!isPlaced()) return;
    /** @type {any} */ (scroller.current).scrollTo({ top: top.current });
    if (isAtInView.current) show(at);
  }, [layout.columns, layout.rowHeight]);
  useLayoutEffect(() => void (isAtInView.current = at >= start && at < stop));
  const press = (/** @type {KeyboardEvent} */ event) => pressed(event, { ...properties, columns: layout.columns, page: Math.max(1, Math.floor(box.height / layout.rowHeight)) * layout.columns });
  const style = { transform: `translateY(${shown.top}px)`, gridTemplateColumns: `repeat(${layout.columns}, ${layout.column})`, gridAutoRows: `${layout.rowHeight - layout.gap}px`, rowGap: `${layout.gap}px` };
  const active = at >= start && at < stop ? `asset-${at}` : undefined;
  return html`<div ref=${scroller} class="scroll" tabindex="-1" onScroll=${({ currentTarget }) => moved(currentTarget.scrollTop)}>
    <div class="space" style=${{ height: `${shown.height}px` }}>
      <ul class=${view === "list" ? "rows" : "grid"} style=${style} role="listbox" tabindex="0" aria-multiselectable="true" aria-label="Assets" aria-activedescendant=${active} onKeyDown=${press}>
        ${Array.from({ length: Math.max(0, stop - start) }, (_, k) => h(Cell, { key: list.row(start + k)?.id ?? start + k, index: start + k, face: layout.face, properties }))}
      </ul></div></div>`;
}

/** Ask for the rows in view: at once, or after a pause while they fly by.
 * @param {List} list @param {number} start @param {number} stop @param {boolean} ready */
function useNeeded(list, start, stop, ready) {
  useEffect(() => {
    if (!ready) return;
    if (list.row(start) || !list.first) return void list.need(start, stop);
    const timer = setTimeout(() => list.need(start, stop), 80);
    return () => clearTimeout(timer);
  }, [list, start, stop, ready, list.changes.value]);
}

/** @param {{index: number, face: number, properties: Properties}} wanted */
function Cell({ index, face, properties }) {
  const { list, view, picked, open, at } = properties;
  const asset = list.row(index);
  const now = useRef(properties);
  now.current = properties;
  const chosen = asset !== null && picked.has(asset.id);
  return useMemo(() => drawn(asset, { index, face, view, chosen, total: list.length, isOpen: open === asset?.id, isAt: at === index }, now), [asset, index, face, view, chosen, list.length, open === asset?.id, at === index]);
}

/** @param {Asset | null} asset @param {{index: number, face: number, view: string, chosen: boolean, total: number, isOpen: boolean, isAt: boolean}} how
 * @param {{current: Properties}} now what a click uses */
function drawn(asset, { index, face, view, chosen, total, isOpen, isAt }, now) {
  if (!asset) return html`<li class="tile waiting" role="option" aria-selected="false" aria-setsize=${total} aria-posinset=${index + 1} aria-label="Loading"><div class="face"></div></li>`;
  const click = (/** @type {MouseEvent} */ event) => {
    const { picked, onOpen, onPick, setAt } = now.current;
    setAt(index);
    if (event.shiftKey) onPick(index, true);
    else if (event.ctrlKey || event.metaKey || (picked.size && matchMedia("(pointer: coarse)").matches)) onPick(index, false);
    else onOpen(asset, index);
  };
  const classes = `tile${chosen ? " picked" : ""}${isOpen ? " open" : ""}${isAt ? " at" : ""}${asset.deleted_at ? " deleted" : ""}`;
  const pick = (/** @type {MouseEvent} */ event) => {
    event.stopPropagation();
    now.current.setAt(index);
    now.current.onPick(index, event.shiftKey);
  };
  return html`<li id=${`asset-${index}`} class=${classes} role="option" aria-selected=${chosen} aria-setsize=${total} aria-posinset=${index + 1} onClick=${click} onDblClick=${() => now.current.onEnter(asset)}>
    <span class="tick" aria-hidden="true" onClick=${pick}>${h(Icon, { name: "check" })}</span>
    ${view === "list" ? h(Row, { asset }) : html`${h(Face, { asset, width: face })}${h(Caption, { asset })}`}</li>`;
}

/** @param {{asset: Asset}} properties */
function Row({ asset }) {
  const kind = group(asset.content_type);
  return html`${h(Face, { asset, width: 56, plain: true })}
    <span class="c-name">${h(Name, { name: asset.name })}</span>
    <span class="c-type">${h(Icon, { name: ICON[kind], small: true, color: `var(--m-${kind})` })}<span class="cut">${asset.content_type}</span></span>
    <span class="c-size num">${kind === "folder" ? "" : bytes(asset.size)}</span>
    <bdi class="c-node cut">${visible(asset.node_id ?? "")}</bdi><bdi class="c-job cut">${visible(asset.job_id ?? "")}</bdi>
    <span class="c-made">${h(Time, { at: asset.created_at })}</span>`;
}

const SORTS = [
  ["name", "Name", "name"],
  ["", "Type", "type"],
  ["size", "Size", "size"],
  ["", "Node", "node"],
  ["", "Job", "job"],
  ["created_at", "Made", "made"],
];

effect(() => {
  for (const [, , column] of SORTS) document.documentElement.style.setProperty(`--w-${column}`, columnWidths.value[column] ? `minmax(0, ${columnWidths.value[column]}px)` : null);
});

/** The border of a column: dragged, or moved by arrows; Home and a double click take the change back.
 * @param {{name: string, column: string}} properties */
function Border({ name, column }) {
  const set = (/** @type {number} */ width) => void (columnWidths.value = { ...columnWidths.value, [column]: width && Math.max(40, Math.round(width)) });
  const cellOf = (/** @type {any} */ event) => event.currentTarget.parentElement.getBoundingClientRect();
  const press = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowLeft: -16, ArrowRight: 16, Home: 0 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(by && cellOf(event).width + by);
  };
  return html`<i role="separator" tabindex="0" aria-orientation="vertical" aria-label=${`Width of ${name}`} aria-valuenow=${columnWidths.value[column] ?? 0} onKeyDown=${press} onDblClick=${() => set(0)}
    onPointerDown=${(event) => event.currentTarget.setPointerCapture(event.pointerId)} onPointerMove=${(event) => event.buttons && set(event.clientX - cellOf(event).left)}></i>`;
}

/** The head of the list, which sorts. @param {{sort: string, setSort?: (sort: string) => void}} properties */
export function ListHead({ sort, setSort }) {
  return html`<div class="rows-head"><span></span>${SORTS.map(([key, name, column]) => {
    const down = sort === `-${key}`;
    const current = key && sort.replace("-", "") === key;
    return html`<span key=${name} class=${`c-${column}`}>${
      key && setSort
        ? html`<button class=${current ? "current" : ""} aria-label=${`Sort by ${name.toLowerCase()}`} onClick=${() => setSort(current && !down ? `-${key}` : current ? key : key === "name" ? key : `-${key}`)}>
      ${name}${current && h(Icon, { name: down ? "arrow-down" : "arrow-up", small: true })}</button>`
        : name
    }${column !== "made" && h(Border, { name, column })}</span>`;
  })}</div>`;
}

/** @param {KeyboardEvent} event @param {Properties & {columns: number, page: number}} how */
function pressed(event, { list, at, setAt, onOpen, onEnter, onPick, columns, page }) {
  const last = list.length - 1;
  const moves = /** @type {Record<string, number>} */ ({ ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: last, PageUp: at - page, PageDown: at + page });
  const to = moves[event.key];
  const asset = list.row(Math.max(0, at));
  if (to !== undefined) {
    const index = Math.min(last, Math.max(0, to));
    setAt(index);
    if (event.shiftKey) onPick(index, true);
  } else if (event.key === "Enter" && asset) onEnter(asset);
  else if (event.key === " " && asset) onOpen(asset, Math.max(0, at));
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** "3 selected" @param {number} n */
export const selected = (n) => `${count(n)} selected`;
