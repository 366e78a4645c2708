/**
 * What the viewer has written and the server has not confirmed. It is shown at once, and sent one after the other,
 * each until there is an answer: its idempotency key makes one message of it however often it is sent. What waits
 * survives a reload of the tab, not its end.
 */
import type { Client } from '@urql/core';

import { SendMessageDocument } from '../generated/graphql.ts';
import { hasCode, isTemporary, messageOf } from './graphql.ts';
import { newKey } from './keys.ts';
import { Store } from './store.ts';
import { backOff } from './waiting.ts';

export interface Unconfirmed {
  /** The idempotency key. */
  key: string;
  conversationId: string;
  content: string;
  createdAt: string;
  /** `sent`: the server has it; it is shown here until it comes with the events, in its place. */
  state: 'waiting' | 'failed' | 'sent';
  problem?: string;
  messageId?: string;
}

export class Outbox {
  readonly items: Store<readonly Unconfirmed[]>;
  readonly #client: Client;
  readonly #place: string;
  readonly #closed = new AbortController();
  #waiting = new AbortController();
  #sending = false;

  constructor(client: Client, viewerId: string) {
    this.#client = client;
    this.#place = `messenger-outbox-${viewerId}`;
    this.items = new Store(kept(this.#place));
    void this.#sendAll();
  }

  add(conversationId: string, content: string): void {
    const createdAt = new Date().toISOString();
    this.#set([
      ...this.items.get().filter(({ state }, index, { length }) => state !== 'sent' || index > length - 50),
      { key: newKey(), conversationId, content, createdAt, state: 'waiting' },
    ]);
    void this.#sendAll();
  }

  /** Sends one that failed again, now as the newest. */
  retry(key: string): void {
    const again = this.items.get().find((item) => item.key === key);
    if (!again) return;
    const { problem: _, ...item } = again;
    this.#set([...this.items.get().filter((each) => each !== again), { ...item, state: 'waiting' }]);
    void this.#sendAll();
  }

  discard(key: string): void {
    this.#set(this.items.get().filter((item) => item.key !== key));
  }

  /** The message with this key has come as an event, maybe before the answer. */
  confirm(key: string, messageId: string): void {
    this.#change(key, { state: 'sent', messageId });
  }

  /** Forgets everything, for whoever uses this browser next. */
  clear(): void {
    this.#set([]);
  }

  /** Tries again now: the server is there. */
  wake(): void {
    this.#waiting.abort();
  }

  close(): void {
    this.#closed.abort();
    this.#waiting.abort();
  }

  async #sendAll(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    let failures = 0;
    let next: Unconfirmed | undefined;
    while (!this.#closed.signal.aborted && (next = this.items.get().find(({ state }) => state === 'waiting'))) {
      this.#waiting = new AbortController();
      if (await this.#send(next)) failures = 0;
      else if (!this.#closed.signal.aborted) await backOff(++failures, this.#waiting.signal);
    }
    this.#sending = false;
  }

  /** Returns whether there was an answer. */
  async #send({ key, conversationId, content }: Unconfirmed): Promise<boolean> {
    const input = { conversationId, content, idempotencyKey: key };
    const { data, error } = await this.#client.mutation(SendMessageDocument, { input });
    // Signed out: it waits for the same person to return.
    if (error && (isTemporary(error) || hasCode(error, 'UNAUTHENTICATED'))) return false;
    if (this.items.get().find((item) => item.key === key)?.state !== 'waiting') return true;
    const message = data?.createMessage.message;
    if (message) this.confirm(key, message.id);
    else {
      const problem = data?.createMessage.userErrors[0]?.message ?? (error ? messageOf(error) : 'It was refused.');
      this.#change(key, { state: 'failed', problem });
    }
    return true;
  }

  #change(key: string, change: Partial<Unconfirmed>): void {
    this.#set(this.items.get().map((item) => (item.key === key ? { ...item, ...change } : item)));
  }

  #set(items: readonly Unconfirmed[]): void {
    this.items.set(items);
    const unsent = items.filter(({ state }) => state !== 'sent');
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(unsent));
    } catch {
      // Full, or not allowed: then it lives as long as the page.
    }
  }
}

function kept(place: string): Unconfirmed[] {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? '[]') as Unconfirmed[];
  } catch {
    return [];
  }
}
