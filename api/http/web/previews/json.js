// JSON as a tree that folds. What cannot be parsed is shown as text.
import { h, html, useEffect, useState } from "../core/html.js";
import { Json } from "../parts/history.js";
import { useContent } from "./content.js";
import { Preview as TextPreview } from "./text.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview(properties) {
  const { asset, url, fail } = properties;
  const content = useContent(asset, url, true);
  const [found, setFound] = useState(/** @type {{value: unknown} | "text" | null} */ (null));
  useEffect(() => {
    content.all().then(
      (body) => {
        try {
          setFound({ value: JSON.parse(new TextDecoder().decode(body)) });
        } catch {
          setFound("text");
        }
      },
      (error) => content.abort.signal.aborted || fail(error.message),
    );
  }, [content]);
  if (found === "text") return h(TextPreview, properties);
  return html`<div class="viewer code tree" tabindex="0" role="group" aria-label="JSON">${found && h(Json, { value: found.value })}</div>`;
}
