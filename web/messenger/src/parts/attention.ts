/** Whether somebody looks at this window: it is in sight and has the focus. */
import { useEffect, useState } from 'react';

import { hasKeyboard } from './hooks.ts';

/** A window beside the one in use is in sight, but not read. A phone shows one thing at a time. */
export const isAttended = () => document.visibilityState === 'visible' && (document.hasFocus() || !hasKeyboard());

export function watchAttention(changed: (attended: boolean) => void): () => void {
  const look = () => changed(isAttended());
  const leave = () => changed(isAttended() && !hasKeyboard());
  document.addEventListener('visibilitychange', look);
  addEventListener('focus', look);
  // During this event, not all browsers say yet that the focus has gone.
  addEventListener('blur', leave);
  return () => {
    document.removeEventListener('visibilitychange', look);
    removeEventListener('focus', look);
    removeEventListener('blur', leave);
  };
}

export function useAttended(): boolean {
  const [attended, setAttended] = useState(isAttended);
  useEffect(() => watchAttention(setAttended), []);
  return attended;
}
