import type { Change } from './changes.ts';
import type { Store } from './store.ts';
import { isDurable } from './storage.ts';
import type { Unconfirmed } from './unsent.ts';

type Unsent = Store<readonly Unconfirmed[]>;
type Changes = Store<ReadonlyMap<string, Change>>;

/**
 * Makes the browser ask before the page is left while a message waits to be sent, or would be lost with the tab: a
 * failed one without storage, or an edit or deletion. It listens only then, because browsers do not keep pages with this
 * listener in the back/forward cache.
 */
export function askBeforeLeaving(unsent: Unsent, changes: Changes): () => void {
  const ask = (event: BeforeUnloadEvent) => event.preventDefault();
  const isAsked = () =>
    changes.get().size > 0 ||
    unsent.get().some(({ state }) => state === 'waiting' || (state === 'failed' && !isDurable.get()));
  const update = () => {
    if (isAsked()) addEventListener('beforeunload', ask);
    else removeEventListener('beforeunload', ask);
  };
  const ends = [unsent.watch(update), changes.watch(update), isDurable.watch(update)];
  update();
  return () => {
    for (const end of ends) end();
    removeEventListener('beforeunload', ask);
  };
}
