// Assets under the filters of the address: bar, count, grid or list, time rail, panel, selection.
// The same of one job, as it is or as it was at a position of the log.
import { allRows, caughtUp, get } from "../core/api.js";
import { apiParams, chips } from "../core/filters.js";
import { begin, bytes, count, counted, day, zone } from "../core/format.js";
import { batch, h, html, signal, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { onChange, onEvents, reloads } from "../core/live.js";
import { PagedList, remember } from "../core/pages.js";
import { kept, tileSize } from "../core/prefs.js";
import { go, place, setQuery } from "../core/route.js";
import { useAnswer, useReturn } from "../core/rows.js";
import { Curl, Empty, Failure, Icon, lazy, News, Problem } from "./basic.js";
import { Menu } from "./over.js";
import { Chip, Chips, clearFilters, FilterBar, useFilters } from "./filters.js";
import { Grid, ListHead, selected } from "./grid.js";
import { anchorsOf, daysOf, TimeRail } from "./rail.js";
import { askUpload } from "./dropping.js";

/** @typedef {PagedList<Asset>} List */
/** @typedef {import("../core/api.js").Params} Params */

const SORTS = [
  ["-created_at", "Newest"],
  ["created_at", "Oldest"],
  ["name", "Name, A to Z"],
  ["-name", "Name, Z to A"],
  ["-size", "Largest"],
  ["size", "Smallest"],
];
const lastView = kept("view", "grid");
const actions = () => import("./actions.js");
const panel = async () => (await import("./panel.js")).Panel;
const Panel = lazy(panel, ({ children }) => html`<aside class="panel">${children}</aside>`);

/** The list of an address; a new one when filters or sort change, and on `reload`.
 * @param {Params} params */
function useList(params) {
  const key = JSON.stringify(params);
  const [list, setList] = useState(/** @type {List | null} */ (null));
  const current = useRef(null);
  const show = (/** @type {List} */ made) => {
    current.current?.close();
    current.current = made;
    setList(made);
  };
  useEffect(() => show(new PagedList("/api/assets", params, "assets")), [key]);
  useEffect(() => () => current.current?.close(), []);
  const reload = useCallback(
    async (start = 0) => {
      const made = new PagedList("/api/assets", params, "assets");
      await made.need(0, 1);
      await made.need(Math.min(start, Math.max(0, made.length - 1)), Math.min(made.length, start + 60));
      show(made);
    },
    [key],
  );
  return { list, reload };
}

/** What the panel shows besides the asset that the address names. */
const besides = signal({ known: /** @type {Asset | null} */ (null), previous: /** @type {(() => void) | undefined} */ (undefined), next: /** @type {(() => void) | undefined} */ (undefined) });

/** The panel beside the main part of a screen with a gallery. */
export function Beside() {
  const open = place.value.query.get("open");
  return open && h(Panel, { id: open, ...besides.value, close: shut });
}

/** Keep where the reader is in the address. What was made in the last days is another list later, which refuses the
 * cursor of this one. @param {string | null} now */
function keepPlace(now) {
  const { query } = place.value;
  const at = query.has("made") && now ? now.split(".", 2).join(".") : now;
  if (at !== query.get("at")) setQuery({ at }, { replace: true });
}

const shut = () => setQuery({ open: null });

/** Days and bytes under the filters, where usage has all of them. @param {Params} params @param {List | null} list */
function useDays({ sort: _, ...filters }, list) {
  const key = !list || filters.query || filters.deleted || filters.as_of ? "" : "days";
  const { value } = useAnswer(key, (signal) => allRows("/api/assets/usage", { ...filters, group_by: "day", sort: "key", tz: zone() }, "usage", signal), list);
  return useMemo(() => ({ days: daysOf(value ?? []), bytes: sum(value ?? []) }), [value]);
}

/** @param {UsageRow[]} rows */
const sum = (rows) => rows.reduce((n, row) => n + row.bytes, 0);

/** How many assets were made since the list was loaded. @param {Params} params @param {List | null} list */
function useFresh(params, list) {
  const [fresh, setFresh] = useState(0);
  const made = useRef(/** @type {Map<string, number>} id and position, also of what was made while a list was loaded */ (new Map()));
  useEffect(() => {
    setFresh(0);
    if (!list || params.as_of) return; // what was gets no news
    let due = 0;
    const { sort: _, ...filters } = params;
    const later = () => void (due ||= setTimeout(() => look().catch(() => {}), 400));
    const look = async () => {
      due = 0;
      if (!list.first) return later();
      const after = new Map([...made.current].filter(([, position]) => position > list.position));
      if (!after.size) return;
      const answer = await get("/api/assets", { ...filters, sort: "-created_at", page_size: 200 });
      setFresh(answer.assets.filter((/** @type {Asset} */ asset) => after.has(asset.id)).length);
    };
    if (made.current.size) later();
    const end = onEvents((events) => {
      for (const event of events ?? []) if (event.topic === "asset.created" && event.asset_id) made.current.set(event.asset_id, event.position);
      for (const id of made.current.keys()) if (made.current.size > 1000) made.current.delete(id);
      if (made.current.size) later();
    });
    return () => {
      end();
      clearTimeout(due);
    };
  }, [list]);
  return fresh;
}

/** Rows that were changed are asked for again, in their place. @param {List | null} list
 * @param {(found: Map<string, Asset>, gone: Set<string>) => void} then */
function useUpdates(list, then) {
  const update = async (/** @type {List} */ list, /** @type {Set<string>} */ ids, /** @type {Set<string>} */ gone) => {
    const here = list.segments.flatMap((segment) => [...segment.pages.values()].flatMap((page) => page.rows)).filter((row) => ids.has(row.id));
    if (!here.length) return;
    const now = (/** @type {Asset} */ row) => (gone.has(row.id) ? { ...row, deleted_at: new Date().toISOString() } : get(`/api/assets/${row.id}`).catch(() => row));
    const found = new Map(await Promise.all(here.slice(0, 100).map(async (row) => /** @type {[string, Asset]} */ ([row.id, await now(row)]))));
    list.patch((row) => found.get(row.id) ?? row);
    then(found, gone);
  };
  useEffect(() => (list ? onChange((ids, gone) => void update(list, ids, gone).catch(() => {})) : undefined), [list]);
}

/** Return the index of an asset among the first 2,000 that are here, else -1. @param {List} list @param {string | undefined} id */
const indexOf = (list, id) => Array.from({ length: Math.min(list.length, 2000) }, (_, k) => list.row(k)?.id).indexOf(id ?? "");

const ALL = {};

/** @param {{fixed?: Params, empty: any}} properties fixed: parameters besides the filters of the address, such as those
 * of a job; with `as_of` the API has neither another order nor a count. empty: what is shown where nothing is, unfiltered */
export function Gallery({ fixed = ALL, empty }) {
  const query = place.value.query;
  const sort = query.get("sort") ?? "-created_at";
  const view = query.get("view") ?? lastView.value;
  const open = query.get("open") ?? "";
  const past = Boolean(fixed.as_of);
  const params = { ...useFilters(fixed), sort: past ? undefined : sort };
  const { list, reload } = useList(params);
  const usage = useDays(params, list);
  const fresh = useFresh(params, list);
  const [at, setAt] = useState(-1);
  const [first, setFirst] = useState(0);
  const [jump, setJump] = useState({ row: 0, n: 0 });
  const [picked, setPicked] = useState(new Map());
  useUpdates(past ? null : list, (found, gone) => setPicked((old) => new Map([...old].filter(([id]) => !gone.has(id)).map(([id, asset]) => [id, found.get(id) ?? asset]))));
  const from = useRef(0);
  const id = useRef(/** @type {string | undefined} of the asset at `at` */ (undefined));
  useLayoutEffect(() => {
    setPicked(new Map());
    if (!list?.first) return setAt(-1); // other filters or another order
    const found = indexOf(list, id.current); // what follows a deleted asset takes its place
    setAt(found < 0 ? Math.min(at, list.length - 1) : found);
  }, [list]);
  const again = () => void (list && reload(first).catch(() => {}));
  useEffect(() => void (reloads.value && again()), [reloads.value]);
  useEffect(() => void (caughtUp.value && !picked.size && again()), [caughtUp.value]);
  useReturn(() => void (list?.error.value && list.goOn()));
  const byTime = sort.endsWith("created_at") && !past;
  if (list && byTime) list.anchor = anchorsOf(usage.days, list.length, sort === "created_at", begin);
  list?.changes.value;

  const show = (/** @type {Asset} */ asset) => setQuery({ open: asset.id }, { replace: Boolean(open) });
  const enter = (/** @type {Asset} */ asset) => (asset.content_type === "folder" ? go(`/?parent_id=${asset.id}`) : go(`/assets/${asset.id}`));
  useEffect(() => void (list && at >= 0 && remember(list, at)), [list, at]);
  const pick = async (/** @type {number} */ index, /** @type {boolean} */ range) => {
    if (!list) return;
    const [low, high] = range ? [Math.min(from.current, index), Math.max(from.current, index)] : [index, index];
    await list.need(low, high + 1);
    const made = new Map(picked);
    for (let k = low; k <= high; k += 1) {
      const row = list.row(k);
      if (row && !range && made.has(row.id)) made.delete(row.id);
      else if (row) made.set(row.id, row);
    }
    if (!range) from.current = index;
    setPicked(made);
  };
  const here = () => list?.row(at) ?? null;
  const chosen = () => (picked.size ? [...picked.values()] : [here()].flatMap((row) => row ?? []));
  const act = (/** @type {Action} */ what) => () => void (chosen().some((asset) => !asset.deleted_at) && run(what, chosen()));
  const step = (/** @type {number} */ by) => {
    const to = at + by - Number(by > 0 && open !== "" && open !== here()?.id); // the open one may be gone
    const row = list?.row(to);
    return row ? () => (setAt(to), show(row)) : undefined;
  };
  useEffect(() => {
    if (!list || !open || at >= 0) return;
    setAt(indexOf(list, open));
  }, [list, open, list?.changes.value]);
  useKeys(
    {
      x: () => void (at >= 0 && pick(at, false)),
      d: act((all) => all.download),
      e: act((all) => all.askTags),
      m: act((all) => all.askMove),
      Delete: act((all) => all.askDelete),
      z: () => void actions().then((all) => all.undo()),
      j: () => step(1)?.(),
      k: () => step(-1)?.(),
      ...(picked.size || open ? { Escape: () => (picked.size ? setPicked(new Map()) : shut()) } : {}),
      ...(at < 0 ? { ArrowDown: () => (setAt(0), focusList()), ArrowRight: () => (setAt(0), focusList()) } : {}),
    },
    [list, at, picked, open],
  );
  useEffect(() => void (list?.first && panel().catch(() => {})), [list?.first]); // is here before it is opened
  useLayoutEffect(() => {
    id.current = here()?.id;
    besides.value = { known: here()?.id === open ? here() : null, previous: step(-1), next: step(1) };
  });

  const row = list?.row(first);
  const setView = (/** @type {string} */ to) => batch(() => ((lastView.value = to), setQuery({ view: null }, { replace: true })));
  const nothing = list && list.length === 0 && list.ended;
  return html`<div class="bar">${h(FilterBar, { fixed })}
      ${!past && h(Menu, { name: `Sort: ${SORTS.find(([key]) => key === sort)?.[1] ?? "Newest"}`, kind: "btn bare sort", label: html`${h(Icon, { name: "arrow-up-down" })}<span>${SORTS.find(([key]) => key === sort)?.[1] ?? "Newest"}</span>`, items: SORTS.map(([key, label]) => ({ label, checked: key === sort, act: () => setQuery({ sort: key === "-created_at" ? null : key }) })) })}
      <div class="seg" role="group" aria-label="View">${[
        ["grid", "Grid", "layout-grid"],
        ["list", "List", "list"],
      ].map(
        ([key, label, icon]) => html`
        <button key=${key} aria-pressed=${view === key} aria-label=${label} title=${label} onClick=${() => setView(key)}>${h(Icon, { name: icon })}</button>`,
      )}</div>
      <button class="btn primary" aria-label="Upload" onClick=${askUpload}>${h(Icon, { name: "upload" })}<span class="long">Upload</span></button></div>
    <div class="only-small chip-row">${h(Chips, { fixed })}</div>
    ${
      picked.size
        ? h(Selection, { picked, clear: () => setPicked(new Map()) })
        : html`<div key="sub" class="sub"><b class="num">${list?.first ? `${counted(list.count ?? list.known, "asset")}${list.count === null ? " or more" : ""}` : "…"}</b>${usage.bytes > 0 && html`<span class="num" title=${`${count(usage.bytes)} bytes`}>${bytes(usage.bytes)}</span>`}${h(Curl, { path: "/api/assets", params })}
        ${h(News, { text: fresh ? `${fresh >= 200 ? "200 or more" : count(fresh)} new` : "", show: () => reload().then(() => setJump({ row: 0, n: jump.n + 1 })) })}
        <span class="sp day">${byTime && row ? day(row.created_at) : ""}</span>
        ${view === "grid" && html`<span class="size">${h(Icon, { name: "image", small: true })}<input type="range" min="96" max="320" value=${tileSize.value} aria-label="Tile size" onInput=${(event) => (tileSize.value = Number(event.target.value))} />${h(Icon, { name: "maximize", small: true })}</span>`}</div>`
    }
    ${view === "list" && !nothing && h(ListHead, { sort, setSort: past ? undefined : (to) => setQuery({ sort: to }) })}
    ${
      list?.error.value && !list.length
        ? h(Failure, { error: list.error.value, retry: () => reload() })
        : nothing
          ? h(Nothing, { query, fixed, empty })
          : list &&
            html`<div key="stage" class=${`stage${picked.size ? " picking" : ""}${byTime && usage.days.length > 1 ? "" : " wide"}`}>
        ${h(Grid, { list, from: fixed === ALL ? (query.get("at") ?? "") : "", onPlace: fixed === ALL ? keepPlace : undefined, view, size: tileSize.value, picked, open, at, jump, setAt, onFirst: setFirst, onOpen: show, onEnter: enter, onPick: pick })}
        ${byTime && usage.days.length > 1 && h(TimeRail, { days: usage.days, at: first, total: list.length, oldestFirst: sort === "created_at", go: (index) => setJump({ row: index, n: jump.n + 1 }) })}</div>`
    }
    ${list && list.length > 0 && list.error.value !== null && html`<div class="sub bad" role="alert">${h(Problem, { error: list.error.value })}<button class="btn small" onClick=${() => list.goOn()}>Try again</button></div>`}
    ${list?.paused.value && html`<div class="sub">Looked at 200,000 assets. <button class="btn small" onClick=${() => list.goOn()}>Go on</button></div>`}`;
}

const focusList = () => /** @type {HTMLElement | null} */ (document.querySelector("[role=listbox][aria-multiselectable]"))?.focus();

/** @typedef {(all: typeof import("./actions.js")) => (assets: Asset[]) => void} Action */

/** Do something with assets. @param {Action} what @param {Asset[]} assets */
const run = async (what, assets) => what(await actions())(assets);

/** @param {{picked: Map<string, Asset>, clear: () => void}} properties */
function Selection({ picked, clear }) {
  const assets = [...picked.values()];
  const button = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {Action} */ act) => html`
    <button class="btn small" onClick=${() => run(act, assets)}>${h(Icon, { name: icon, small: true })}<span class="long">${label}</span></button>`;
  return html`<div class="sub selection" role="toolbar" aria-label="Selection"><b class="num">${selected(picked.size)}</b><span class="num">${bytes(assets.reduce((n, asset) => n + asset.size, 0))}</span>
    ${assets.every((asset) => asset.deleted_at) ? button("undo-2", "Restore", (all) => all.restore) : html`${button("download", "Download", (all) => all.download)}${button("tag", "Tag", (all) => all.askTags)}${button("folder-input", "Move", (all) => all.askMove)}${button("trash-2", "Delete", (all) => all.askDelete)}`}
    <button class="btn bare small sp" onClick=${clear}>Clear <kbd>Esc</kbd></button></div>`;
}

/** @param {{query: URLSearchParams, fixed: Params, empty: any}} properties */
function Nothing({ query, fixed, empty }) {
  const words = query.get("q");
  const filters = chips(query).filter((chip) => !(chip.param in fixed));
  if (!words && !filters.length) return empty;
  if (filters.length === 1 && filters[0].param === "parent_id" && !words) return h(Empty, { icon: "folder", title: "This folder is empty." }, html`<p>Drop files to put them here.</p>`);
  const clear = html`<button class="btn" onClick=${clearFilters}>Clear filters</button>`;
  if (words && !filters.length) return h(Empty, { icon: "search", title: `Nothing has all of these words: “${words}”.` }, html`<p>Words are found anywhere in names, tags and metadata.</p>${clear}`);
  return h(Empty, { icon: "search", title: "Nothing matches these filters." }, html`${clear}${filters.length > 1 && !fixed.as_of && h(Narrowest, { key: query.toString(), filters, fixed })}`);
}

/** The filter without which the most assets are found. @param {{filters: import("../core/filters.js").Chip[], fixed: Params}} properties */
function Narrowest({ filters, fixed }) {
  const { value } = useAnswer("narrowest", (signal) => {
    const without = async (/** @type {import("../core/filters.js").Chip} */ chip) => {
      const query = new URLSearchParams(place.value.query);
      query.delete(chip.param, chip.value);
      return { chip, count: (await get("/api/assets", { ...apiParams(query), ...fixed, count: "exact", page_size: 1 }, { signal })).count };
    };
    return Promise.all(filters.map(without));
  });
  const most = value?.reduce((a, b) => (b.count > a.count ? b : a)); // without one, the button above clears them all
  return most && most.count > 0 && html`<p>or remove the narrowest: ${h(Chip, { chip: most.chip })} ${counted(most.count, "asset")} without it</p>`;
}
