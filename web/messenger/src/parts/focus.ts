/** Keeps the focus in the page when the element that has it disappears. */
import { type RefObject, useEffect, useRef } from 'react';

/**
 * Moves the focus to an element when the button or dialog that has it disappears, for example because a message has been
 * deleted on another device. Returns the properties of an element around both.
 */
export function useFocusIn<E extends HTMLElement>(target: RefObject<HTMLElement | null>) {
  const around = useRef<E>(null);
  const isInside = useRef(false);
  useEffect(() => {
    if (!around.current) return undefined;
    // A component inside may be rendered without the one that calls this.
    const observer = new MutationObserver(() => {
      if (isInside.current && document.activeElement === document.body) target.current?.focus({ preventScroll: true });
    });
    observer.observe(around.current, { childList: true, subtree: true });
    return () => observer.disconnect();
  }, [target]);
  return {
    ref: around,
    onFocus: () => void (isInside.current = true),
    // React does not report it when an element loses the focus because it is removed.
    onBlur: () => void (isInside.current = false),
  };
}
