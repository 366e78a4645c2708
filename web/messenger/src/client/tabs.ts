/** What the tabs of a browser tell each other, besides the events of their common stream. */
import { openChannel } from './channel.ts';

export type Said =
  /** Who is signed in: a tab that believes otherwise looks again. */
  | { kind: 'viewer'; id: string | null }
  /** The conversation has been read here. */
  | { kind: 'read'; conversationId: string };

const channel = openChannel<Said>('messenger-tabs');

export const sayToTabs = channel.say;
export const hearTabs = channel.hear;

/** Has other tabs know, through a lock that ends with the page, whether somebody looks at this one. */
export function showWhetherVisible(): void {
  if (!('locks' in navigator)) return; // Nor are there notifications then, which this is for.
  let hidden: (() => void) | undefined;
  const update = () => {
    if (document.visibilityState === 'hidden') {
      hidden?.();
      hidden = undefined;
    } else if (!hidden) {
      const untilHidden = new Promise<void>((resolve) => (hidden = resolve));
      // Denied where the browser stores nothing for this site.
      navigator.locks.request(VISIBLE, { mode: 'shared' }, () => untilHidden).catch(() => {});
    }
  };
  document.addEventListener('visibilitychange', update);
  update();
}

export async function isAnyTabVisible(): Promise<boolean> {
  try {
    const { held = [] } = await navigator.locks.query();
    return held.some(({ name }) => name === VISIBLE);
  } catch {
    return document.visibilityState === 'visible';
  }
}

const VISIBLE = 'messenger-visible';
