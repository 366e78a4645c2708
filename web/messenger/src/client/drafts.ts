/** The user's draft in each conversation, in localStorage. */
import { parsed, store, stored, storedKeys, unstore, watchStorage } from './storage.ts';

interface Draft {
  text: string;
  at: number;
}

const MAX_DRAFTS = 100;
const MAX_LENGTH = 10_000;

export class Drafts {
  readonly #prefix: string;

  constructor(viewerId: string) {
    this.#prefix = `messenger-draft-${viewerId}-`;
  }

  get(conversationId: string): string {
    return textIn(stored(this.#prefix + conversationId));
  }

  /** Stores the draft, truncated if it is too long; deletes it if the text is empty. */
  set(conversationId: string, text: string): void {
    const key = this.#prefix + conversationId;
    if (!text) return unstore(key);
    const isNew = stored(key) === null;
    store(key, JSON.stringify({ text: text.slice(0, MAX_LENGTH), at: Date.now() } satisfies Draft));
    if (isNew) this.#forgetOldest();
  }

  /** Calls back when another tab changes the draft. */
  watch(conversationId: string, changed: (text: string) => void): () => void {
    const place = this.#prefix + conversationId;
    return watchStorage(place, (key, value) => key === place && changed(textIn(value)));
  }

  clear(): void {
    for (const key of storedKeys(this.#prefix)) unstore(key);
  }

  #forgetOldest(): void {
    const keys = storedKeys(this.#prefix);
    if (keys.length <= MAX_DRAFTS) return;
    const at = (key: string) => parsed<Draft>(stored(key))?.at ?? 0;
    for (const key of keys.sort((one, other) => at(one) - at(other)).slice(0, keys.length - MAX_DRAFTS)) unstore(key);
  }
}

function textIn(value: string | null): string {
  const text = parsed<Draft>(value)?.text;
  return typeof text === 'string' ? text : '';
}
