// The bytes of a content for its preview. Up to a size they are loaded whole and hashed, and all that
// is drawn is drawn from them: so the seal speaks of what is shown.
import { send } from "../core/api.js";
import { useEffect, useMemo, useState } from "../core/html.js";
import { canCheck, hex, sha256 } from "../core/proof.js";
import { hashed } from "../core/trust.js";

const LOADED = 50_000_000; // bytes that are hashed where a preview needs all of them
const LOOKED_AT = 8_000_000; // bytes that are hashed where it needs their beginning, or plays them

/** The bytes of a version of an asset. */
export class Content {
  /** @param {Asset} asset @param {string} url @param {number} limit bytes that are loaded whole */
  constructor(asset, url, limit) {
    this.asset = asset;
    this.url = url;
    this.whole = asset.size <= limit;
    this.abort = new AbortController();
    this.made = "";
    /** @type {Promise<ArrayBuffer> | null} */
    this.loading = null;
  }

  /** Say how far the check of the bytes is. @param {import("../core/trust.js").Hashed["state"]} state */
  note(state, digest = "") {
    const { id, version } = this.asset;
    if (!this.abort.signal.aborted) hashed.value = { id, version, state, digest };
  }

  /** All bytes, loaded and hashed once. @returns {Promise<ArrayBuffer>} */
  all() {
    this.loading ??= this.load();
    return this.loading;
  }

  async load() {
    try {
      const body = await (await send(this.url, { signal: this.abort.signal })).arrayBuffer();
      if (canCheck()) sha256(new Uint8Array(body)).then((hash) => this.note("hashed", `sha256:${hex(hash)}`));
      return body;
    } catch (error) {
      this.note("unread");
      throw error;
    }
  }

  /** The bytes in a range. @param {number} from @param {number} to */
  async part(from, to) {
    if (this.whole) return (await this.all()).slice(from, to);
    const range = { Range: `bytes=${from}-${to - 1}` };
    return (await send(this.url, { headers: range, signal: this.abort.signal })).arrayBuffer();
  }

  /** The address that an element shows: of a blob where the bytes are loaded. @param {string} [type] */
  async source(type = this.asset.content_type) {
    if (!this.whole) return this.url;
    const body = await this.all();
    if (!this.abort.signal.aborted) this.made ||= URL.createObjectURL(new Blob([body], { type }));
    return this.made;
  }

  begin() {
    if (!this.asset.get_url) return;
    this.note(this.whole ? "loading" : "large");
    if (this.whole) this.all().catch(() => {});
  }

  close() {
    this.abort.abort();
    if (this.made) URL.revokeObjectURL(this.made);
  }
}

/** The bytes that a preview shows, for as long as it is there.
 * @param {Asset} asset @param {string} url @param {boolean} [all] the preview needs all of them */
export function useContent(asset, url, all = false) {
  const content = useMemo(() => new Content(asset, url, all ? LOADED : LOOKED_AT), [url]);
  useEffect(() => {
    content.begin();
    return () => content.close();
  }, [content]);
  return content;
}

/** The address that an element shows, "" until it is known.
 * @param {Content} content @param {(why?: string) => void} fail @param {string} [type] of the blob */
export function useSource(content, fail, type) {
  const [source, setSource] = useState("");
  useEffect(() => {
    content.source(type).then(setSource, (error) => content.abort.signal.aborted || fail(error.message));
  }, [content]);
  return source;
}
