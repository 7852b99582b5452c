// Differences between two versions: fields of an asset, and lines of a text. The lines come from
// the library "diff", loaded when it is needed.

/** @typedef {{kind: "same" | "old" | "new", text: string, oldLine: number | null, newLine: number | null}} Line */
/** @typedef {{kind: "skip", n: number}} Skip */
/** @typedef {{field: string, from: unknown, to: unknown}} FieldChange */

const FIELDS = ["name", "content_type", "size", "digest", "parent_id", "tags", "duration"];
const CONTEXT = 3;
const MOST = 20_000; // lines above which nothing is compared
const PATIENCE = 3_000; // milliseconds

/** Fields that differ; those of the metadata by their name.
 * @param {Asset} old @param {Asset} now @returns {FieldChange[]} */
export function fields(old, now) {
  const changed = FIELDS.map((field) => ({ field, from: /** @type {any} */ (old)[field], to: /** @type {any} */ (now)[field] }));
  const keys = new Set([...Object.keys(old.metadata ?? {}), ...Object.keys(now.metadata ?? {})]);
  const inside = [...keys].map((key) => ({ field: `metadata.${key}`, from: own(old.metadata, key), to: own(now.metadata, key) }));
  return [...changed, ...inside].filter(({ from, to }) => JSON.stringify(from) !== JSON.stringify(to));
}

/** @param {Record<string, unknown> | null} object @param {string} key */
const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);

/** Lines of two texts, in order; null where they are too long or too different to compare.
 * @param {string} old @param {string} now @returns {Promise<Line[] | null>} */
export async function lines(old, now) {
  if (old.split("\n", MOST + 1).length > MOST || now.split("\n", MOST + 1).length > MOST) return null;
  const { diffLines } = await import("../vendor/diff/diff/line.js");
  const parts = diffLines(old, now, { timeout: PATIENCE });
  if (!parts) return null;
  let [oldLine, newLine] = [0, 0];
  return parts.flatMap((/** @type {any} */ part) =>
    String(part.value)
      .replace(/\n$/, "")
      .split("\n")
      .map((text) => {
        const kind = part.added ? "new" : part.removed ? "old" : "same";
        return { kind, text, oldLine: kind === "new" ? null : (oldLine += 1), newLine: kind === "old" ? null : (newLine += 1) };
      }),
  );
}

/** Words of two lines. @param {string} old @param {string} now
 * @returns {Promise<{value: string, added?: boolean, removed?: boolean}[]>} */
export async function words(old, now) {
  const { diffWordsWithSpace } = await import("../vendor/diff/diff/word.js");
  return (
    diffWordsWithSpace(old, now, { timeout: PATIENCE }) ?? [
      { value: old, removed: true },
      { value: now, added: true },
    ]
  );
}

/** Leave out what is the same, besides three lines around each change.
 * @param {Line[]} all @returns {(Line | Skip)[]} */
export function folded(all) {
  const near = all.map((_, k) => all.slice(Math.max(0, k - CONTEXT), k + CONTEXT + 1).some((line) => line.kind !== "same"));
  /** @type {(Line | Skip)[]} */
  const made = [];
  for (const [k, line] of all.entries()) {
    const last = made[made.length - 1];
    if (near[k]) made.push(line);
    else if (last?.kind === "skip") last.n += 1;
    else made.push({ kind: "skip", n: 1 });
  }
  return made;
}
