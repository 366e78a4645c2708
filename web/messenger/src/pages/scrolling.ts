/** The scroll position of a list of messages. */
import { useEffect, useLayoutEffect, useRef, useState } from 'react';

import { Anchor, ReadingPlace } from './place.ts';

/** How close to its end a list must be scrolled to count as being at its end, in pixels. */
const CLOSE = 60;

/**
 * Keeps the scroll position: at the end when messages arrive, in place when messages above are loaded, edited or
 * deleted, and where the user was reading when they return with Back or Forward.
 */
export function useScrolling(ids: string[]) {
  const scroller = useRef<HTMLDivElement>(null);
  const [place] = useState(() => new ReadingPlace());
  const [anchor] = useState(() => new Anchor());
  const [atEnd, setAtEnd] = useState(() => !place.isAmong(ids));
  const stays = useRef(atEnd);
  const shown = useRef(ids);

  function toEnd() {
    const element = scroller.current;
    if (!element) return;
    stays.current = true;
    element.scrollTop = element.scrollHeight;
  }

  function keepPosition(element: HTMLElement) {
    if (stays.current) toEnd();
    else anchor.hold(element, shown.current);
    anchor.choose(element, shown.current);
  }

  useLayoutEffect(() => {
    shown.current = ids;
    if (scroller.current) keepPosition(scroller.current);
  });

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    if (!stays.current) place.restore(element, ids);
    const leave = () => (stays.current ? place.forget() : place.keep(element, shown.current));
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
