// The only door to the view library: elements are written in html`...`, components by h().
// So the type checker sees the properties of components.
import { Fragment, h, render } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";

export { Fragment, h, render };
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.mjs";
export { batch, effect, signal, useSignal } from "../vendor/signals.mjs";

export const html = htm.bind(h);
