/** What a user has begun to write in each conversation and not sent, in localStorage beside the unsent messages. */
import { parsed, store, stored, storedKeys, unstore, watchStorage } from './storage.ts';

interface Draft {
  text: string;
  at: number;
}

const MOST = 100;
const LONGEST = 10_000;

export class Drafts {
  readonly #prefix: string;

  constructor(viewerId: string) {
    this.#prefix = `messenger-draft-${viewerId}-`;
  }

  get(conversationId: string): string {
    return textIn(stored(this.#prefix + conversationId));
  }

  /** Keeps the text, as far as it is not too long; an empty one is forgotten. */
  set(conversationId: string, text: string): void {
    const key = this.#prefix + conversationId;
    if (!text) return unstore(key);
    const isNew = stored(key) === null;
    store(key, JSON.stringify({ text: text.slice(0, LONGEST), at: Date.now() } satisfies Draft));
    if (isNew) this.#forgetOldest();
  }

  /** Calls back when another tab has changed the draft. */
  watch(conversationId: string, changed: (text: string) => void): () => void {
    const place = this.#prefix + conversationId;
    return watchStorage(place, (key, value) => key === place && changed(textIn(value)));
  }

  clear(): void {
    for (const key of storedKeys(this.#prefix)) unstore(key);
  }

  #forgetOldest(): void {
    const keys = storedKeys(this.#prefix);
    if (keys.length <= MOST) return;
    const at = (key: string) => parsed<Draft>(stored(key))?.at ?? 0;
    for (const key of keys.sort((one, other) => at(one) - at(other)).slice(0, keys.length - MOST)) unstore(key);
  }
}

function textIn(value: string | null): string {
  const text = parsed<Draft>(value)?.text;
  return typeof text === 'string' ? text : '';
}
