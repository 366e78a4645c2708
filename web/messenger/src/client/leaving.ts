import type { Store } from './store.ts';
import { isDurable } from './storage.ts';
import type { Unconfirmed } from './unsent.ts';

/**
 * Makes the browser ask before the page is left while a message waits to be sent, or a failed one would be lost with
 * the tab. It listens only then, because browsers do not keep pages with this listener in the back/forward cache.
 */
export function askBeforeLeaving(items: Store<readonly Unconfirmed[]>): () => void {
  const ask = (event: BeforeUnloadEvent) => event.preventDefault();
  const update = () => {
    const isAsked = items.get().some(({ state }) => state === 'waiting' || (state === 'failed' && !isDurable.get()));
    if (isAsked) addEventListener('beforeunload', ask);
    else removeEventListener('beforeunload', ask);
  };
  const ends = [items.watch(update), isDurable.watch(update), () => removeEventListener('beforeunload', ask)];
  update();
  return () => {
    for (const end of ends) end();
  };
}
