// JSON as a tree that folds. What cannot be parsed is shown as text.
import { send } from "../core/api.js";
import { h, html, useEffect, useState } from "../core/html.js";
import { Json } from "../parts/json.js";
import { Preview as TextPreview } from "./text.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const { url, fail } = properties;
  const [found, setFound] = useState(/** @type {{value: unknown} | "text" | null} */ (null));
  useEffect(() => {
    const abort = new AbortController();
    send(url, { signal: abort.signal })
      .then((response) => response.text())
      .then(
        (text) => {
          try {
            setFound({ value: JSON.parse(text) });
          } catch {
            setFound("text");
          }
        },
        (error) => abort.signal.aborted || fail(error.message),
      );
    return () => abort.abort();
  }, [url]);
  if (found === "text") return h(TextPreview, properties);
  return html`<div class="viewer code tree" tabindex="0" role="group" aria-label="JSON">${found && h(Json, { value: found.value })}</div>`;
}
