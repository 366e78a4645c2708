import { type PointerEvent, type RefObject, type TouchEvent, useEffect, useRef, useState } from 'react';

/** Returns a ref for an element; `reached` is called when it is scrolled near the visible part of its container. */
export function useReached<E extends Element>(reached: () => void, margin = '400px'): RefObject<E | null> {
  const element = useRef<E>(null);
  const latest = useRef(reached);
  useEffect(() => void (latest.current = reached));
  useEffect(() => {
    if (!element.current) return undefined;
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && latest.current(),
      { root: element.current.closest('.scroller'), rootMargin: margin },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  });
  return element;
}

/** The value, debounced; values for which `atOnce` is true apply immediately. */
export function useSettled<T>(value: T, milliseconds: number, atOnce: (value: T) => boolean = () => false): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    if (atOnce(value)) return setSettled(value);
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Whether `is` has been true for this long. */
export function useHasLasted(is: boolean, milliseconds: number): boolean {
  const [has, setHas] = useState(false);
  useEffect(() => {
    if (!is) return setHas(false);
    const timer = setTimeout(() => setHas(true), milliseconds);
    return () => clearTimeout(timer);
  }, [is, milliseconds]);
  return has;
}

export function useVisible(): boolean {
  const isVisible = () => document.visibilityState === 'visible';
  const [visible, setVisible] = useState(isVisible);
  useEffect(() => {
    const changed = () => setVisible(isVisible());
    document.addEventListener('visibilitychange', changed);
    return () => document.removeEventListener('visibilitychange', changed);
  }, []);
  return visible;
}

export function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const changed = () => setOnline(navigator.onLine);
    addEventListener('online', changed);
    addEventListener('offline', changed);
    return () => {
      removeEventListener('online', changed);
      removeEventListener('offline', changed);
    };
  }, []);
  return online;
}

/** Whether the device has a mouse, and so a keyboard: focusing a field then does not open an on-screen keyboard. */
export const hasKeyboard = () => matchMedia('(pointer: fine)').matches;

const LONG_PRESS_MS = 500;
/** A finger that moves further than this scrolls, in pixels. */
const STILL = 10;

/** Handlers for an element that is pressed and held on a touchscreen. Some browsers report this only to scripts. */
export function useLongPress(held: (at: { x: number; y: number }) => void) {
  const press = useRef<{ x: number; y: number; timer: ReturnType<typeof setTimeout> }>(undefined);
  const isHeld = useRef(false);
  const end = () => {
    clearTimeout(press.current?.timer);
    press.current = undefined;
  };
  useEffect(() => end, []);
  return {
    onPointerDown({ pointerType, isPrimary, target, clientX: x, clientY: y }: PointerEvent) {
      end();
      isHeld.current = false;
      // The browser has a menu for links.
      if (pointerType !== 'touch' || !isPrimary || (target as Element).closest('a')) return;
      const hold = () => {
        isHeld.current = true;
        held({ x, y });
      };
      press.current = { x, y, timer: setTimeout(hold, LONG_PRESS_MS) };
    },
    onPointerMove({ clientX, clientY }: PointerEvent) {
      const start = press.current;
      if (start && Math.hypot(clientX - start.x, clientY - start.y) > STILL) end();
    },
    onPointerUp: end,
    onPointerCancel: end,
    // Otherwise lifting the finger may click on what has appeared under it. After scrolling, it does not click.
    onTouchEnd: (event: TouchEvent) => isHeld.current && event.cancelable && event.preventDefault(),
  };
}
