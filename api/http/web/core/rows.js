// Answers of the API for as long as a component is shown: one answer, or a list that grows at its end.
import { address, caughtUp, get, OfflineError, returns } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { session } from "./session.js";

/** Do something when the server answers again. @param {(() => void) | undefined | false} act nothing if absent */
export function useReturn(act) {
  const now = returns.value;
  const before = useRef(now);
  useEffect(() => {
    if (act && now !== before.current) act();
    before.current = now;
  }, [now]);
}

/** What requests answer, null until it is here. @template T @param {string} key of what is asked for; "" asks nothing
 * @param {(signal: AbortSignal) => Promise<T>} ask @param {unknown} [turn] changes: ask again
 * @returns {{value: T | null, error: unknown, retry: () => void}} */
export function useAnswer(key, ask, turn) {
  const [tries, setTries] = useState(0);
  const retry = () => setTries(tries + 1);
  const [state, setState] = useState({ key: "", value: /** @type {T | null} */ (null), error: /** @type {unknown} */ (null) });
  useEffect(() => {
    if (!key) return;
    const abort = new AbortController();
    ask(abort.signal).then(
      (value) => setState({ key, value, error: null }),
      (error) => abort.signal.aborted || setState({ key, value: null, error }),
    );
    return () => abort.abort();
  }, [key, turn, tries, caughtUp.value]);
  useReturn(state.error instanceof OfflineError && retry);
  return { ...(state.key === key ? state : { value: null, error: null }), retry };
}

/** The answer of a GET, null until it is here. @param {string} path "" asks nothing
 * @param {import("./api.js").Params} [params] @param {unknown} [turn] changes: ask again
 * @returns {{value: any, error: unknown, retry: () => void}} */
export function useGet(path, params, turn) {
  const url = path && address(path, params);
  return useAnswer(url, (signal) => get(url, {}, { signal }), turn);
}

/** The name of a folder; that of the user is "Home". @param {string | null} id */
export function useFolderName(id) {
  const home = !id || id === session.value?.user_id;
  const { value, error } = useGet(home ? "" : `/api/assets/${encodeURIComponent(id)}`);
  return home ? "Home" : (value?.name ?? (error ? id : ""));
}

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
  }, [key, turn, caughtUp.value]);
  const fresh = state.key === key;
  return { rows: fresh ? state.rows : [], first: fresh ? state.first : null, error: fresh ? state.error : null, ready: fresh, more: fresh && state.next ? () => load(state.next, state.rows, undefined) : undefined, retry: () => load("", [], undefined) };
}
