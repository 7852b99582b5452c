// The bar of filters and words: chips, and a field that completes what is typed to a chip.
import { get } from "../core/api.js";
import { apiParams, chips, FIELDS, parse, valueOf } from "../core/filters.js";
import { count, visible } from "../core/format.js";
import { h, html, useEffect, useId, useMemo, useRef, useState } from "../core/html.js";
import { useKeys } from "../core/keys.js";
import { place, setQuery } from "../core/route.js";
import { useFolderName } from "../core/rows.js";
import { Icon } from "./basic.js";

/** @typedef {import("../core/filters.js").Field} Field */
/** @typedef {import("../core/filters.js").Chip} ChipData */
/** @typedef {{field: Field, value?: string, count?: number}} Suggestion */

const SINGLE = new Set(["made", "created_after", "created_before", "size_min", "size_max", "parent_id", "deleted"]);
const PLAIN = ["node_id", "workflow_id", "job_id", "tag", "content_type"];

/** Add a filter to the address. @param {Field} field @param {string} value */
function add(field, value) {
  const query = place.value.query;
  const values = SINGLE.has(field.param) ? [value] : [...new Set([...query.getAll(field.param), value])];
  setQuery({ [field.param]: values, ...(field.param === "made" ? { created_after: null } : {}) });
}

/** @param {ChipData} chip */
function remove(chip) {
  setQuery({ [chip.param]: place.value.query.getAll(chip.param).filter((value) => value !== chip.value) });
}

/** Remove every filter and the words. */
export function clearFilters() {
  setQuery(Object.fromEntries([...FIELDS.map((field) => field.param), "q"].map((name) => [name, null])));
}

/** @typedef {import("../core/api.js").Params} Params what a list has besides the filters of the address */

/** What the filters of the address ask of the API, besides what is fixed. `made=7d` is counted from when it was
 * chosen, so that a list stays the same while it is shown. @param {Params} fixed */
export function useFilters(fixed) {
  const { query } = place.value;
  const key = JSON.stringify([fixed, query.get("q"), chips(query)]);
  return useMemo(() => ({ ...apiParams(query), ...fixed }), [key]);
}

/** The chips of the address. @param {{fixed: Params}} properties fixed: parameters without a chip */
export function Chips({ fixed }) {
  const all = chips(place.value.query).filter((chip) => !(chip.param in fixed));
  return all.length > 0 && html`<div class="chips">${all.map((chip) => h(Chip, { key: `${chip.param} ${chip.value}`, chip }))}</div>`;
}

/** @param {{chip: ChipData}} properties */
export function Chip({ chip }) {
  const folder = chip.param === "parent_id";
  const name = useFolderName(folder ? chip.value : null);
  const text = visible(folder ? name : chip.text);
  return html`<span class="chip"><span class="k">${chip.key}</span><bdi class="cut" title=${text}>${text}</bdi>
    <button aria-label=${`Remove filter ${chip.key} ${text}`} onClick=${() => remove(chip)}>${h(Icon, { name: "x", small: true })}</button></span>`;
}

/** What the server knows to begin like this. @param {Field} field @param {string} prefix @param {number} limit
 * @param {Params} fixed @param {AbortSignal} signal @returns {Promise<Suggestion[]>} */
async function values(field, prefix, limit, fixed, signal) {
  const { query: _, as_of: __, [field.param]: ___, ...filters } = { ...apiParams(place.value.query), ...fixed };
  const answer = await get("/api/assets/values", { ...filters, field: field.param, prefix, limit }, { signal });
  return answer.values.map((/** @type {{value: string, count: number}} */ row) => ({ field, ...row }));
}

/** @param {string} text @param {Params} fixed @param {AbortSignal} signal @returns {Promise<Suggestion[]>} */
async function suggest(text, fixed, signal) {
  const typed = parse(text);
  if (typed) return typed.field.values && !(typed.field.param in fixed) ? values(typed.field, typed.value, 10, fixed, signal) : [];
  const word = text.trim().toLowerCase();
  const fields = FIELDS.filter((field) => field.key.startsWith(word) && !(field.param in fixed)).map((field) => ({ field }));
  if (!word || word.includes(" ")) return word ? [] : fields;
  const found = await Promise.all(PLAIN.flatMap((param) => (param in fixed ? [] : values(/** @type {Field} */ (FIELDS.find((field) => field.param === param)), word, 3, fixed, signal))));
  return [...fields.slice(0, 3), ...found.flat()];
}

/** @param {string} text @param {boolean} open @param {Params} fixed */
function useSuggestions(text, open, fixed) {
  const [rows, setRows] = useState(/** @type {Suggestion[]} */ ([]));
  useEffect(() => {
    if (!open) return setRows([]);
    const abort = new AbortController();
    const timer = setTimeout(() => suggest(text, fixed, abort.signal).then(setRows, () => {}), text ? 60 : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, open]);
  return rows;
}

/** The bar. @param {{fixed: Params}} properties */
export function FilterBar({ fixed }) {
  const words = place.value.query.get("q") ?? "";
  const [text, setText] = useState(words);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const rows = useSuggestions(text, open, fixed);
  const id = useId();
  const input = useRef(null);
  useKeys({ "/": () => input.current?.focus() });
  useEffect(() => setText(words), [words]);
  useEffect(() => setAt(-1), [rows]);
  useEffect(() => {
    if (text === words || parse(text)) return;
    const timer = setTimeout(() => setQuery({ q: text.trim() || null }, { replace: Boolean(words) }), 220);
    return () => clearTimeout(timer);
  }, [text]);
  const typed = parse(text);
  const wrong = Boolean(typed?.value && (typed.field.param in fixed || (!typed.field.values && !valueOf(typed.field, typed.value))));
  const choose = (/** @type {Suggestion} */ row) => {
    if (row.value === undefined) return setText(/[<>]$/.test(row.field.key) ? row.field.key : `${row.field.key}:`);
    setText("");
    setOpen(false); // so that the menu does not cover what was found
    add(row.field, row.field.param === "content_type" && !row.value.includes("/") ? `${row.value}/` : row.value);
    if (words) setQuery({ q: null }, { replace: true });
  };
  const enter = () => {
    const value = typed && valueOf(typed.field, typed.value);
    const begun = rows.filter((row) => value && row.value?.toLowerCase().startsWith(value.toLowerCase()));
    const likely = begun.find((row) => row.value === value) ?? begun[0];
    if (rows[at] ?? likely) choose(rows[at] ?? likely);
    else if (typed && value && !wrong) choose({ field: typed.field, value });
    else if (!typed) {
      setQuery({ q: text.trim() || null });
      setOpen(false);
    }
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setOpen(true), setAt(((at + 1 + step + rows.length + 1) % (rows.length + 1)) - 1);
    else if (event.key === "Enter") enter();
    else if (event.key === "Tab" && rows[0] && text && !event.shiftKey) choose(rows[Math.max(0, at)]);
    else if (event.key === "Escape") open ? setOpen(false) : input.current?.blur();
    else if (event.key === "Backspace" && !text) chips(place.value.query).slice(-1).forEach(remove);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="find" role="search" onFocusOut=${(event) => /** @type {HTMLElement} */ (event.currentTarget).contains(/** @type {Node} */ (event.relatedTarget)) || setOpen(false)}>
    ${h(Icon, { name: "search" })}${h(Chips, { fixed })}
    <input ref=${input} enterkeyhint="search" placeholder="Filter or search" aria-label="Filter or search assets" autocomplete="off" spellcheck=${false}
      role="combobox" aria-expanded=${rows.length > 0} aria-controls=${id} aria-autocomplete="list" aria-invalid=${wrong} aria-activedescendant=${rows[at] ? `${id}-${at}` : undefined}
      value=${text} onInput=${(event) => (setText(event.target.value), setOpen(true))} onFocus=${() => setOpen(true)} onClick=${() => setOpen(true)} onKeyDown=${press} />
    <kbd>/</kbd>
    ${h(Suggestions, { id, rows, at, choose, hint: typed && !typed.field.values ? typed.field : null })}</div>`;
}

/** @param {{id: string, rows: Suggestion[], at: number, choose: (row: Suggestion) => void, hint: Field | null}} properties */
function Suggestions({ id, rows, at, choose, hint }) {
  const hold = (/** @type {Event} */ event) => event.preventDefault();
  return html`<div id=${id} class="menu start suggestions" role="listbox" aria-label="Suggestions" hidden=${!rows.length && !hint} onPointerDown=${hold}>
    ${rows.map(
      (row, k) => html`<div key=${`${row.field.param} ${row.value}`} id=${`${id}-${k}`} role="option" aria-selected=${k === at} onClick=${() => choose(row)}>
      <span class="k">${row.field.key}${row.value === undefined && !/[<>]$/.test(row.field.key) ? ":" : ""}</span>
      ${row.value !== undefined && html`<bdi class="cut">${visible(row.value)}</bdi>`}
      <span class="end num">${row.count === undefined ? row.field.hint : count(row.count)}</span></div>`,
    )}
    ${!rows.length && hint && html`<div role="option" aria-selected="false" aria-disabled="true"><span class="k">${hint.key}</span><span>${hint.hint}</span></div>`}</div>`;
}
