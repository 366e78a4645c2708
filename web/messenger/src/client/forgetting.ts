/**
 * Deletes what other users of this browser typed long ago and have not sent. They may have been removed, and then cannot
 * sign in to delete it.
 */
import { parsed, stored, storedKeys, unstore } from './storage.ts';

const KEPT_MS = 30 * 24 * 60 * 60 * 1000;

interface Kept {
  /** When a draft or an edit was typed, in milliseconds. */
  at: number;
  /** When a message was written. */
  createdAt: string;
}

export function forgetOthers(viewerId: string): void {
  for (const prefix of ['messenger-draft-', 'messenger-edit-', 'messenger-unsent-'])
    for (const key of storedKeys(prefix)) {
      if (key.startsWith(`${prefix}${viewerId}-`)) continue;
      const { at, createdAt = '' } = parsed<Kept>(stored(key)) ?? {};
      if (Date.now() - (at ?? Date.parse(createdAt)) > KEPT_MS) unstore(key);
    }
}
