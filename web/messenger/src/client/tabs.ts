/** What the tabs of a browser tell each other, besides the events of their common stream. */
export type Said =
  /** Who is signed in: a tab that believes otherwise looks again. */
  | { kind: 'viewer'; id: string | null }
  /** The conversation has been read here. */
  | { kind: 'read'; conversationId: string };

const channel = new BroadcastChannel('messenger-tabs');

export function sayToTabs(said: Said): void {
  channel.postMessage(said);
}

export function hearTabs(hear: (said: Said) => void): () => void {
  const heard = ({ data }: MessageEvent<Said>) => hear(data);
  channel.addEventListener('message', heard);
  return () => channel.removeEventListener('message', heard);
}

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
      void navigator.locks.request(VISIBLE, { mode: 'shared' }, () => untilHidden);
    }
  };
  document.addEventListener('visibilitychange', update);
  update();
}

export async function isAnyTabVisible(): Promise<boolean> {
  const { held = [] } = await navigator.locks.query();
  return held.some(({ name }) => name === VISIBLE);
}

const VISIBLE = 'messenger-visible';
