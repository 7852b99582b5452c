// The only module that writes a number, a time or a name for people.

const GROUPED = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

const two = (/** @type {number} */ n) => String(n).padStart(2, "0");

/** 12,480 @param {number} n */
export const count = (n) => GROUPED.format(n);

/** "1 asset", "2 assets" @param {number} n @param {string} noun @param {string} [plural] */
export const counted = (n, noun, plural = `${noun}s`) => `${count(n)} ${n === 1 ? noun : plural}`;

/** Decimal bytes in three digits: 4.32 MB @param {number} n */
export function bytes(n) {
  let unit = 0;
  let value = n;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (!unit) return `${value} B`;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** 240 ms, 12 s, 3 min 42 s, 2 h 5 min @param {number} ms milliseconds */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return s % 60 ? `${min} min ${s % 60} s` : `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 48) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  return `${Math.round(h / 24)} days`;
}

/** +340 ms, +7.2 s, +1:53, +2:04:10, +3 days @param {number} ms milliseconds */
export function offset(ms) {
  if (ms < 1000) return `+${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `+${(ms / 1000).toFixed(1)} s`;
  return `+${ms < 48 * 3600_000 ? length(ms / 1000) : duration(ms)}`;
}

/** 0:42, 1:08, 2:04:10 @param {number} seconds */
export function length(seconds) {
  const s = Math.floor(seconds);
  const h = Math.floor(s / 3600);
  return h ? `${h}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** Tue, Nov, 24, 2026 @param {Date} at */
const partsOf = (at) => at.toDateString().replace(" 0", " ").split(" ");

/** 14:03:29 today, 24 Nov 14:03 this year, then 24 Nov 2025 @param {string} iso */
export function time(iso, now = new Date()) {
  const at = new Date(iso);
  const clock = at.toTimeString();
  if (at.toDateString() === now.toDateString()) return clock.slice(0, 8);
  const [, month, date, year] = partsOf(at);
  return `${date} ${month} ${at.getFullYear() === now.getFullYear() ? clock.slice(0, 5) : year}`;
}

/** "2 min ago" below an hour, else as `time` @param {string} iso */
export function ago(iso, now = new Date()) {
  const ms = now.getTime() - new Date(iso).getTime();
  if (ms < 0 || ms >= 3600_000) return time(iso, now);
  return ms < 60_000 ? `${Math.floor(ms / 1000)} s ago` : `${Math.floor(ms / 60_000)} min ago`;
}

/** 14:04:09.118 @param {string} iso */
export function clock(iso) {
  const at = new Date(iso);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** Tue 24 Nov 2026 @param {string} iso */
export function day(iso) {
  const [name, month, date, year] = partsOf(new Date(iso));
  return `${name} ${date} ${month} ${year}`;
}

/** 1 Oct @param {string} date of a day, without a zone */
export const dayMonth = (date) => `${Number(date.slice(8))} ${month(date)}`;

/** Nov @param {string} date of a day, without a zone */
export const month = (date) => new Date(date).toUTCString().slice(8, 11);

/** The time zone of this browser as the API takes it. */
export function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name && name !== "Etc/Unknown" ? name : "UTC";
}

/** The time at which a day of this browser begins, or the day `later` days after it.
 * @param {string} date @param {number} [later] */
export function begin(date, later = 0) {
  const [year, month, dayOfMonth] = date.split("-").map(Number);
  return new Date(year, month - 1, dayOfMonth + later).toISOString();
}

/** First 8 ... last 6 of an id or digest @param {string} text */
export const short = (text) => text.replace(/^(sha256:)?(.{8}).{4,}(.{6})$/s, "$1$2…$3");

// invisible characters, and those that change the direction of text
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A text that shows what it is: hidden characters become U+202E @param {string} text */
export const visible = (text) => text.replace(HIDDEN, (c) => `U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`);

/** @typedef {"image"|"video"|"audio"|"text"|"data"|"model"|"doc"|"folder"|"other"} Group */

/** The kind of a media type, which chooses icon, colour and preview. @param {string} type @returns {Group} */
export function group(type) {
  const t = type.split(";")[0].trim().toLowerCase();
  if (t === "folder") return "folder";
  if (t.startsWith("image/")) return "image";
  if (t.startsWith("video/")) return "video";
  if (t.startsWith("audio/")) return "audio";
  if (t.startsWith("model/") || /gltf|\bstl\b/.test(t)) return "model";
  if (t === "application/pdf" || /word|opendocument|epub/.test(t)) return "doc";
  if (/json|csv|parquet|arrow|numpy|yaml|xml|sql|tab-separated/.test(t)) return "data";
  if (t.startsWith("text/")) return "text";
  return "other";
}

/** Icon of each group. @type {Record<Group, string>} */
export const ICON = {
  image: "image",
  video: "film",
  audio: "audio-lines",
  text: "file-text",
  data: "braces",
  model: "box",
  doc: "book-open",
  folder: "folder",
  other: "file",
};
