import { type RefObject, useEffect, useRef, useState } from 'react';

/** A ref for an element; `reached` is called whenever it comes near the visible part of its scroll container. */
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

/** The value, once it has been the same for so long; what `atOnce` holds of is not waited for. */
export function useSettled<T>(value: T, milliseconds: number, atOnce: (value: T) => boolean = () => false): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    if (atOnce(value)) return setSettled(value);
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Whether something has been so for this long. */
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

/** Keys and a mouse rather than fingers: then focus may go to a field without a keyboard covering the page. */
export const hasKeyboard = () => matchMedia('(pointer: fine)').matches;
