// A swipe over a preview that shows all of itself leads to the next asset, or back.
import { useRef } from "../core/html.js";

const LEAST = 60; // px

/** Listeners of the element that is swiped. @param {((by: 1 | -1) => () => void) | undefined} step */
export function useSwipe(step) {
  const start = useRef(null);
  return {
    onTouchStart: (/** @type {TouchEvent} */ { touches }) => void (start.current = touches.length === 1 ? touches[0] : null),
    onTouchEnd: (/** @type {TouchEvent} */ { currentTarget, changedTouches: [end] }) => {
      if (!start.current || /** @type {Element} */ (currentTarget).matches("[data-zoomed]")) return;
      const [dx, dy] = [end.clientX - start.current.clientX, end.clientY - start.current.clientY];
      if (Math.abs(dx) > Math.max(LEAST, 2 * Math.abs(dy))) step?.(dx < 0 ? 1 : -1)();
    },
  };
}
