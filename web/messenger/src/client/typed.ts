/** Texts that the user has typed and not sent yet, in localStorage: the newest hundred under a prefix. */
import { parsed, store, stored, storedKeys, unstore } from './storage.ts';

export interface Typed {
  text: string;
  /** When it was typed, in milliseconds. */
  at: number;
}

const MAX_KEPT = 100;
export const MAX_LENGTH = 10_000;

/** Stores the text, truncated if it is too long, and forgets the oldest one if there are too many. */
export function keepTyped<T extends Typed>(prefix: string, id: string, typed: Omit<T, 'at'>): void {
  const key = prefix + id;
  const isNew = stored(key) === null;
  store(key, JSON.stringify({ ...typed, text: typed.text.slice(0, MAX_LENGTH), at: Date.now() }));
  if (isNew) forgetOldest(prefix);
}

export function forgetTyped(prefix: string): void {
  for (const key of storedKeys(prefix)) unstore(key);
}

function forgetOldest(prefix: string): void {
  const keys = storedKeys(prefix);
  if (keys.length <= MAX_KEPT) return;
  const at = (key: string) => parsed<Typed>(stored(key))?.at ?? 0;
  for (const key of keys.sort((one, other) => at(one) - at(other)).slice(0, keys.length - MAX_KEPT)) unstore(key);
}
