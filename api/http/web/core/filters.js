// Filters of the list of assets: parameters in the address, words that people type, chips.
// The address has the API's own names, besides `made` (the last 7d) and `q` (words).
import { bytes as size } from "./format.js";

/** @typedef {{param: string, key: string, hint: string, values?: boolean}} Field
 * parameter in the address, the word that people type, what it means, whether the server suggests values */

export const FIELDS = [
  { param: "workflow_id", key: "workflow", hint: "made by this workflow", values: true },
  { param: "node_id", key: "node", hint: "made by this node", values: true },
  { param: "job_id", key: "job", hint: "made in this job", values: true },
  { param: "content_type", key: "type", hint: "image, video, audio/wav …", values: true },
  { param: "tag", key: "tag", hint: "has this tag", values: true },
  { param: "parent_id", key: "folder", hint: "in this folder" },
  { param: "made", key: "made", hint: "last 30 min, 24 h, 7 d" },
  { param: "created_after", key: "from", hint: "made at or after a day: 2026-11-24" },
  { param: "created_before", key: "to", hint: "made before a day: 2026-11-25" },
  { param: "size_min", key: "size>", hint: "at least 10 MB" },
  { param: "size_max", key: "size<", hint: "at most 10 MB" },
  { param: "name", key: "name", hint: "has exactly this name", values: true },
  { param: "digest", key: "digest", hint: "has exactly these bytes" },
  { param: "missing", key: "without", hint: "job, node or workflow" },
  { param: "deleted", key: "deleted", hint: "true: only deleted, any: also deleted" },
];
const UNITS = /** @type {Record<string, number>} */ ({ min: 60, h: 3600, d: 86_400, w: 604_800 });
const POWERS = /** @type {Record<string, number>} */ ({ "": 1, b: 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9, t: 1e12, tb: 1e12 });
const MISSING = /** @type {Record<string, string>} */ ({ job: "job_id", node: "node_id", workflow: "workflow_id" });

/** @typedef {{param: string, key: string, value: string, text: string}} Chip */

/** Return the chips of an address. @param {URLSearchParams} query @returns {Chip[]} */
export function chips(query) {
  return FIELDS.flatMap((field) =>
    query.getAll(field.param).map((value) => ({
      param: field.param,
      key: field.key.replace(/[<>]/, ""),
      value,
      text: chipText(field.param, value),
    })),
  );
}

/** @param {string} param @param {string} value */
function chipText(param, value) {
  if (param === "made") return `last ${value.replace(/(\d+)\s*([a-z]+)/i, (_, n, unit) => `${n} ${unit === "d" ? (n === "1" ? "day" : "days") : unit}`)}`;
  if (param === "size_min") return `over ${size(Number(value))}`;
  if (param === "size_max") return `up to ${size(Number(value))}`;
  if (param === "content_type") return value.replace(/\/$/, "");
  if (param === "missing") return value.replace(/_id$/, "");
  if (param.startsWith("created_")) return value.replace(/T00:00:00.*$/, "");
  return value;
}

/** Return what an address asks of the API. @param {URLSearchParams} query @returns {import("./api.js").Params} */
export function apiParams(query, now = Date.now()) {
  /** @type {Record<string, string | string[]>} */
  const params = {};
  for (const { param } of FIELDS) {
    const values = query.getAll(param);
    if (!values.length) continue;
    if (param === "made") params.created_after = new Date(now - seconds(values[0]) * 1000).toISOString();
    else if (param.startsWith("created_")) params[param] = Number.isNaN(Date.parse(values[0])) ? values[0] : new Date(values[0]).toISOString();
    else params[param] = values.length > 1 ? values : values[0];
  }
  const words = query.get("q");
  if (words) params.query = words;
  return params;
}

/** Seconds in a span such as 7d, 24h, 30min. @param {string} text */
function seconds(text) {
  const found = /^(\d+)\s*(min|h|d|w)/i.exec(text);
  return found ? Number(found[1]) * UNITS[found[2].toLowerCase()] : 0;
}

/** Split what was typed into a field and a value: `node:up`, `size>10MB`, `made:7d`.
 * @param {string} text @returns {{field: Field, value: string} | null} */
export function parse(text) {
  const found = /^\s*(size)\s*[:]?\s*([<>])=?\s*(.*)$/i.exec(text) ?? /^\s*([a-z]+):\s*(.*)$/i.exec(text);
  if (!found) return null;
  const key = found.length === 4 ? `size${found[2]}` : found[1].toLowerCase();
  const field = FIELDS.find((entry) => entry.key === key || entry.param === key);
  return field ? { field, value: (found[found.length - 1] ?? "").trim() } : null;
}

/** Return a typed value as the address has it, or null if it is not one.
 * @param {Field} field @param {string} value */
export function valueOf(field, value) {
  if (!value) return null;
  switch (field.param) {
    case "made":
      return seconds(value) ? value.replace(/\s+/g, "").toLowerCase() : null;
    case "size_min":
    case "size_max":
      return bytesOf(value);
    case "content_type":
      return /\//.test(value) ? value.toLowerCase() : `${value.toLowerCase()}/`;
    case "missing":
      return MISSING[value] ?? (Object.values(MISSING).includes(value) ? value : null);
    case "deleted":
      return /^(true|any)$/.test(value) ? value : null;
    case "created_after":
    case "created_before":
      return Number.isNaN(Date.parse(value)) ? null : value;
    default:
      return value;
  }
}

/** @param {string} text @returns {string | null} */
function bytesOf(text) {
  const found = /^([\d.]+)\s*([a-z]*)$/i.exec(text.trim());
  const power = found && POWERS[found[2].toLowerCase()];
  return found && power ? String(Math.round(Number(found[1]) * power)) : null;
}
