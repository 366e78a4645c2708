/** Whether the user attends to this window: it is visible and has the focus. */
import { useEffect, useState } from 'react';

import { hasKeyboard } from './hooks.ts';

/** A visible window without focus is not being read. A phone shows only one window, so visibility is sufficient. */
export const isAttended = () => document.visibilityState === 'visible' && (document.hasFocus() || !hasKeyboard());

export function watchAttention(changed: (attended: boolean) => void): () => void {
  const look = () => changed(isAttended());
  const leave = () => changed(isAttended() && !hasKeyboard());
  document.addEventListener('visibilitychange', look);
  addEventListener('focus', look);
  // During this event, `document.hasFocus()` is still true in some browsers.
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
