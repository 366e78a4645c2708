/** A minimal router for the three kinds of pages. */
import { type AnchorHTMLAttributes, type MouseEvent, useSyncExternalStore } from 'react';

import { newKey } from '../client/keys.ts';

const CHANGED = 'messenger:navigated';

export function usePath(): string {
  return useSyncExternalStore(watch, () => location.pathname);
}

export function navigate(path: string): void {
  if (path !== location.pathname) history.pushState({ entry: newKey() }, '', path);
  dispatchEvent(new Event(CHANGED));
}

/** A key of the current history entry, as several entries may have the same path. */
export function entryKey(): string {
  const state = history.state as { entry?: string } | null;
  if (state?.entry) return state.entry;
  const entry = newKey();
  history.replaceState({ ...state, entry }, '');
  return entry;
}

function watch(changed: () => void): () => void {
  addEventListener('popstate', changed);
  const end = watchNavigation(changed);
  return () => {
    removeEventListener('popstate', changed);
    end();
  };
}

/** Calls back when the user chooses a page, including the current one. */
export function watchNavigation(chosen: () => void): () => void {
  addEventListener(CHANGED, chosen);
  return () => removeEventListener(CHANGED, chosen);
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { href: string };

/** A link within the app. With a modifier key, the browser handles it. */
export function Link({ href, ...rest }: LinkProps) {
  function follow(event: MouseEvent<HTMLAnchorElement>) {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
  }
  return <a href={href} onClick={follow} {...rest} />;
}

export const conversationPath = (id: string) => `/conversations/${encodeURIComponent(id)}`;

/** The ID of the conversation in the path. */
export function conversationIn(path: string): string | undefined {
  const found = /^\/conversations\/([^/]+)$/.exec(path)?.[1];
  try {
    return found && decodeURIComponent(found);
  } catch {
    return undefined;
  }
}
