// A PDF in the browser's own viewer, on a blob, so that its scripts run nowhere near this page.
import { send } from "../core/api.js";
import { html, useEffect, useState } from "../core/html.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    let made = "";
    send(url, { signal: abort.signal })
      .then((response) => response.arrayBuffer())
      .then(
        (body) => {
          const begins = new TextDecoder("latin1").decode(body.slice(0, 1024));
          if (!begins.includes("%PDF-")) return fail("No preview: this is not a PDF.");
          made = URL.createObjectURL(new Blob([body], { type: "application/pdf" }));
          setAddress(made);
        },
        (error) => abort.signal.aborted || fail(error.message),
      );
    return () => {
      abort.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [url]);
  return html`<div class="viewer document">${address && html`<iframe src=${address} title=${asset.name}></iframe>`}</div>`;
}
