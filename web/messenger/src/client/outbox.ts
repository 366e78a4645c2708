/**
 * Sends what the viewer has written. It is shown at once, and sent until there is an answer: its idempotency key makes
 * one message of it however often it is sent. Each conversation has a lane of its own, in which messages are sent one
 * after the other, by one tab of the browser at a time. A message that is refused is marked, and the next one goes on.
 */
import type { Client, CombinedError } from '@urql/core';

import { SendMessageDocument, UnreadDocument } from '../generated/graphql.ts';
import { hasCode, isTemporary, messageOf, ONCE, statusOf } from './graphql.ts';
import { newKey } from './keys.ts';
import { contend } from './leadership.ts';
import type { Store } from './store.ts';
import { type Unconfirmed, UnsentMessages } from './unsent.ts';
import { Turns } from './turns.ts';
import { backOff } from './waiting.ts';

/** A request that fails so often, while another one is answered each time, fails because of its message. */
const MOST_FAILURES = 5;
const MOST_WAITING = 500;
const LANES_AT_ONCE = 3;
/** Longer than a request may take: a tab that holds a lane and gets no further is asleep. */
const ASLEEP_MS = 30_000;

export class Outbox {
  readonly items: Store<readonly Unconfirmed[]>;
  readonly #unsent: UnsentMessages;
  readonly #client: Client;
  readonly #viewerId: string;
  readonly #closed = new AbortController();
  readonly #lanes = new Set<string>();
  readonly #turns = new Turns(LANES_AT_ONCE);
  readonly #ends: (() => void)[];
  #waiting = new AbortController();

  constructor(client: Client, viewerId: string) {
    this.#client = client;
    this.#viewerId = viewerId;
    this.#unsent = new UnsentMessages(viewerId);
    this.items = this.#unsent.items;
    this.#ends = [() => this.#unsent.close(), this.items.watch(() => this.#sendAll())];
    this.#sendAll();
  }

  add(conversationId: string, content: string): void {
    const item = { key: newKey(), conversationId, content, createdAt: new Date().toISOString() };
    if (this.items.get().filter(({ state }) => state === 'waiting').length < MOST_WAITING)
      this.#unsent.add({ ...item, state: 'waiting' });
    else this.#unsent.add({ ...item, state: 'failed', problem: 'Too many messages are waiting to be sent.' });
  }

  /** Sends one that failed again, now as the newest. */
  retry(key: string): void {
    const item = this.#unsent.get(key);
    if (item?.state !== 'failed') return;
    const { problem: _, failures: __, ...again } = item;
    this.#unsent.add({ ...again, state: 'waiting' });
  }

  /** Takes back one that has not been sent. One whose request is under way may have been. */
  discard(key: string): void {
    this.#unsent.discard(key);
  }

  /** The message with this key has come as an event, maybe before the answer. */
  confirm(key: string, messageId: string): void {
    this.#unsent.settle(key, messageId);
  }

  /** Forgets everything, for the next user of this browser. */
  clear(): void {
    this.#unsent.clear();
  }

  /** Tries again now: the server is there. */
  wake(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
  }

  close(): void {
    this.#closed.abort();
    for (const end of this.#ends) end();
  }

  #sendAll(): void {
    for (const { state, conversationId } of this.items.get())
      if (state === 'waiting' && !this.#lanes.has(conversationId)) void this.#send(conversationId);
  }

  #next(conversationId: string): Unconfirmed | undefined {
    return this.items.get().find((item) => item.state === 'waiting' && item.conversationId === conversationId);
  }

  /** Sends what waits in the conversation, when no other tab does. */
  async #send(conversationId: string): Promise<void> {
    this.#lanes.add(conversationId);
    const name = `messenger-outbox-${this.#viewerId}-${conversationId}`;
    await contend(name, this.#closed.signal, (end) => this.#sendInOrder(conversationId, end), {
      patienceMs: ASLEEP_MS,
    }).done;
    this.#lanes.delete(conversationId);
    // Something may have been added at the last moment.
    if (!this.#closed.signal.aborted && this.#next(conversationId)) void this.#send(conversationId);
  }

  async #sendInOrder(conversationId: string, end: AbortSignal): Promise<void> {
    let failures = 0;
    let next: Unconfirmed | undefined;
    while (!end.aborted && (next = this.#next(conversationId))) {
      const { key } = next;
      const isAnswered = await this.#turns.take(() => this.#sendOne(key, end));
      if (isAnswered) failures = 0;
      else if (!end.aborted) await backOff(++failures, AbortSignal.any([end, this.#waiting.signal]));
    }
  }

  /** Returns whether the next message may be sent. */
  async #sendOne(key: string, end: AbortSignal): Promise<boolean> {
    this.#unsent.refresh(key);
    const item = this.#unsent.get(key);
    if (end.aborted || item?.state !== 'waiting') return true;
    const { conversationId, content } = item;
    const { data, error } = await this.#client.mutation(SendMessageDocument, {
      input: { conversationId, content, idempotencyKey: key },
    });
    const isCounted = error !== undefined && isOfTheMessage(error) && (await this.#isAnswered(conversationId));
    const now = this.#unsent.get(key);
    if (now?.state !== 'waiting') return true;
    const message = data?.createMessage.message;
    if (message) {
      this.#unsent.put({ ...now, state: 'sent', messageId: message.id });
      return true;
    }
    // Signed out: it waits for the same user to return.
    if (error && hasCode(error, 'UNAUTHENTICATED')) return false;
    if (error && isTemporary(error)) {
      const failures = (now.failures ?? 0) + 1;
      if (isCounted && failures < MOST_FAILURES) this.#unsent.put({ ...now, failures });
      if (!isCounted || failures < MOST_FAILURES) return false;
    }
    const problem = data?.createMessage.userErrors[0]?.message ?? (error ? messageOf(error) : 'It was refused.');
    this.#unsent.put({ ...now, state: 'failed', problem });
    return true;
  }

  /** Whether the server answers another request about the conversation. */
  async #isAnswered(id: string): Promise<boolean> {
    const { error } = await this.#client.query(UnreadDocument, { id }, { requestPolicy: 'network-only', ...ONCE });
    return !error || !isTemporary(error);
  }
}

/** Whether the failure may be due to what the message says: a firewall can cut the connection instead of answering. */
function isOfTheMessage(error: CombinedError): boolean {
  return error.networkError !== undefined && isTemporary(error) && ![408, 425, 429, 503].includes(statusOf(error) ?? 0);
}
