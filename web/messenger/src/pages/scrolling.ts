/** The scroll position of a list of messages. */
import { useEffect, useLayoutEffect, useRef, useState } from 'react';

import { Anchor, ReadingPlace } from './place.ts';

/** How close to its end a list must be scrolled to count as being at its end, in pixels. */
const CLOSE = 60;
/** How many messages are loaded at most to find the place where the user was reading. */
const MAX_SOUGHT = 5000;

/**
 * Keeps the scroll position: at the end when messages arrive, in place when messages above are loaded, edited or
 * deleted, and where the user was reading when they return with Back or Forward. `hasEarlier` says whether there are
 * messages above that are not loaded.
 */
export function useScrolling(ids: string[], hasEarlier: boolean) {
  const scroller = useRef<HTMLDivElement>(null);
  const [place] = useState(() => new ReadingPlace());
  const [anchor] = useState(() => new Anchor());
  const [atEnd, setAtEnd] = useState(() => !place.isAmong(ids) && !(place.isKnown() && hasEarlier));
  const stays = useRef(atEnd);
  /** Whether the place is still to be found. Meanwhile, the list is at its start, where it loads earlier messages. */
  const seeks = useRef(!atEnd);
  const shown = useRef(ids);

  function toEnd() {
    const element = scroller.current;
    if (!element) return;
    stays.current = true;
    seeks.current = false;
    element.scrollTop = element.scrollHeight;
  }

  function keepPosition(element: HTMLElement) {
    if (stays.current) toEnd();
    else if (seeks.current) element.scrollTop = 0;
    else anchor.hold(element, shown.current);
    anchor.choose(element, shown.current);
  }

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    shown.current = ids;
    keepPosition(element);
    if (!seeks.current) return;
    seeks.current = !place.isAmong(ids) && hasEarlier && ids.length < MAX_SOUGHT;
    if (seeks.current) return;
    place.restore(element, ids);
    anchor.choose(element, ids);
  });

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const leave = () => {
      if (stays.current) place.forget();
      else if (!seeks.current) place.keep(element, shown.current);
    };
    addEventListener('pagehide', leave);
    return () => {
      leave();
      removeEventListener('pagehide', leave);
    };
  }, []);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const onScroll = () => {
      // The user scrolls elsewhere.
      if (element.scrollTop > 0) seeks.current = false;
      stays.current = element.scrollHeight - element.scrollTop - element.clientHeight < CLOSE;
      setAtEnd(stays.current);
      anchor.choose(element, shown.current);
    };
    // When a keyboard opens or the window is resized.
    const observer = new ResizeObserver(() => keepPosition(element));
    element.addEventListener('scroll', onScroll, { passive: true });
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', onScroll);
      observer.disconnect();
    };
  }, []);

  return { scroller, atEnd, toEnd };
}
