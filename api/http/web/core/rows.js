// A list that grows at its end by pages, started anew when its parameters change.
import { get } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";

/** @param {string} path @param {import("./api.js").Params} params @param {string} member @param {unknown} [turn] changes: load anew */
export function useRows(path, params, member, turn) {
  const key = path && `${path} ${JSON.stringify(params)}`;
  const [state, setState] = useState(/** @type {{rows: any[], next: string, first: any, error: unknown, key: string}} */ ({ rows: [], next: "", first: null, error: null, key: "" }));
  const busy = useRef(false);
  const load = useCallback(
    async (/** @type {string} */ cursor, before, /** @type {AbortSignal | undefined} */ signal) => {
      if (busy.current && cursor) return;
      busy.current = true;
      try {
        const answer = await get(path, { ...params, cursor }, { signal });
        setState((old) => ({ rows: [...before, ...answer[member]], next: answer.next ?? "", first: cursor ? old.first : answer, error: null, key }));
      } catch (error) {
        if (!signal?.aborted) setState((old) => ({ ...old, error, key }));
      } finally {
        busy.current = false;
      }
    },
    [key],
  );
  useEffect(() => {
    if (!path) return;
    const abort = new AbortController();
    load("", [], abort.signal);
    return () => abort.abort();
  }, [key, turn]);
  const fresh = state.key === key;
  return { rows: fresh ? state.rows : [], first: fresh ? state.first : null, error: fresh ? state.error : null, ready: fresh, more: fresh && state.next ? () => load(state.next, state.rows, undefined) : undefined, retry: () => load("", [], undefined) };
}
