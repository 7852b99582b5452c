// Pictures of tiles: at most four are under way. Those that were asked for last come first, so that
// what was scrolled past does not hold up what is in view; within one drawing, from above.
import { get, send } from "./api.js";
import { session } from "./session.js";

const AT_ONCE = 4;
let running = 0;
/** @type {{act: () => Promise<unknown>, drawing: number}[]} */
const waiting = [];
let drawing = 0;

/** Do something when there is room; the function that is returned takes it back.
 * @param {() => Promise<unknown>} act @returns {() => void} */
export function queue(act) {
  if (waiting.at(-1)?.drawing !== drawing) setTimeout(() => (drawing += 1));
  const entry = { act, drawing };
  waiting.push(entry);
  next();
  return () => {
    const at = waiting.indexOf(entry);
    if (at >= 0) waiting.splice(at, 1);
  };
}

function next() {
  if (running >= AT_ONCE) return;
  if (!waiting.length) return;
  const newest = waiting[waiting.length - 1].drawing;
  const [entry] = waiting.splice(
    waiting.findIndex((one) => one.drawing === newest),
    1,
  );
  running += 1;
  entry
    .act()
    .catch(() => {})
    .finally(() => {
      running -= 1;
      next();
    });
}

/** The address of a thumbnail of at least this width. @param {string} url @param {number} width CSS pixels */
export function sized(url, width) {
  const need = width * Math.min(2, devicePixelRatio || 1);
  const size = [160, 320, 512, 1600].find((step) => step >= need * 0.9) ?? 1600;
  return `${url}${url.includes("?") ? "&" : "?"}size=${size}`;
}

/** A small cache: the newest 400 entries. @type {Map<string, Promise<any>>} */
const cache = new Map();

/** @template T @param {string} key @param {() => Promise<T>} make @returns {Promise<T>} */
function cached(key, make) {
  const found = cache.get(key);
  if (found) return found;
  const made = make();
  made.catch(() => cache.delete(key));
  cache.set(key, made);
  if (cache.size > 400) cache.delete(/** @type {string} */ (cache.keys().next().value));
  return made;
}

/** The first characters of a text. @param {Asset} asset */
export function beginning(asset) {
  return cached(`text ${asset.id} ${asset.version}`, async () => {
    const response = await send(`${asset.get_url}`, { headers: { Range: "bytes=0-511" } });
    return new TextDecoder().decode(await response.arrayBuffer()).replace(/\ufffd+$/, "");
  });
}

/** The loudness of a sound, `n` values from 0 to 1. The server measures it, or else this browser.
 * @param {Asset} asset @param {number} n @param {number} limit bytes that are decoded here */
export function peaks({ id, version, content_type, size, get_url }, n, limit) {
  return cached(`peaks ${id} ${version} ${n}`, async () => {
    if (/wav/.test(content_type) || session.value?.previews.includes("audio")) {
      const known = await get(`/api/assets/${id}/peaks`, { version, n }).catch(() => null);
      if (known) return scaled(known.peaks);
    }
    if (size > limit) throw new Error("too long");
    const response = await send(`${get_url}`);
    const audio = await new OfflineAudioContext(1, 1, 44_100).decodeAudioData(await response.arrayBuffer());
    return scaled(loudness(audio.getChannelData(0), n));
  });
}

/** @param {Float32Array} samples @param {number} n */
function loudness(samples, n) {
  const width = Math.max(1, Math.floor(samples.length / n));
  const stride = Math.max(1, Math.floor(width / 200));
  return Array.from({ length: n }, (_, k) => {
    let top = 0;
    for (let at = k * width; at < Math.min(samples.length, (k + 1) * width); at += stride) top = Math.max(top, Math.abs(samples[at]));
    return top;
  });
}

/** @param {number[]} levels */
function scaled(levels) {
  const most = Math.max(...levels) || 1;
  return levels.map((level) => level / most);
}

/** @type {Map<string, (color: string) => void>} */
let asked = new Map();

/** The mean colour of a picture, once the server has drawn it before. Those of one moment are asked
 * for together. @param {string} id @returns {Promise<string>} */
export function meanColor(id) {
  if (!asked.size)
    setTimeout(async () => {
      const all = asked;
      asked = new Map();
      const { placeholders } = await get("/api/assets/placeholders", { id: [...all.keys()].slice(0, 200) }).catch(() => ({ placeholders: [] }));
      for (const known of placeholders) all.get(known.id)?.(colorOf(atob(known.thumbhash)));
    });
  return new Promise((done) => asked.set(id, done));
}

/** The mean colour in a ThumbHash. @param {string} hash its bytes */
function colorOf(hash) {
  const bits = hash.charCodeAt(0) | (hash.charCodeAt(1) << 8) | (hash.charCodeAt(2) << 16);
  const [light, yellow, red] = [(bits & 63) / 63, ((bits >> 6) & 63) / 31.5 - 1, ((bits >> 12) & 63) / 31.5 - 1];
  const blue = light - (2 / 3) * yellow;
  const first = (3 * light - blue + red) / 2;
  return `color(srgb ${first} ${first - red} ${blue})`;
}
