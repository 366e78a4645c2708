/**
 * Sends the viewer's messages. A message is shown immediately, and sent until the server answers; its idempotency key
 * prevents duplicates. In each conversation, messages are sent one after the other, by one tab of the browser at a
 * time. A rejected message is marked, and the next one is sent.
 */
import type { Client, CombinedError } from '@urql/core';

import { SendMessageDocument, UnreadCountDocument } from '../generated/graphql.ts';
import { hasCode, isTemporary, messageOf, ONCE, statusOf } from './graphql.ts';
import { newKey } from './keys.ts';
import { contend } from './leadership.ts';
import type { Store } from './store.ts';
import { type Unconfirmed, UnsentMessages } from './unsent.ts';
import { Turns } from './turns.ts';
import { backOff } from './waiting.ts';

/** A request that fails this often, while another one succeeds each time, fails because of its message. */
const MAX_FAILURES = 5;
const MAX_WAITING = 500;
const MAX_CONCURRENT = 3;
/** Longer than a request may take, so a tab that makes no progress for this long is suspended. */
const ASLEEP_MS = 30_000;

export class Outbox {
  readonly items: Store<readonly Unconfirmed[]>;
  readonly #unsent: UnsentMessages;
  readonly #client: Client;
  readonly #viewerId: string;
  readonly #closed = new AbortController();
  /** The conversations in which this tab sends, or waits to send. */
  readonly #sending = new Set<string>();
  readonly #turns = new Turns(MAX_CONCURRENT);
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
    if (this.items.get().filter(({ state }) => state === 'waiting').length < MAX_WAITING)
      this.#unsent.add({ ...item, state: 'waiting' });
    else this.#unsent.add({ ...item, state: 'failed', problem: 'Too many messages are waiting to be sent.' });
  }

  /** Sends a failed message again, as the newest one. */
  retry(key: string): void {
    const item = this.#unsent.get(key);
    if (item?.state !== 'failed') return;
    const { problem: _, failures: __, ...again } = item;
    this.#unsent.add({ ...again, state: 'waiting' });
  }

  /** Discards an unsent message. If its request is running, it may be sent nevertheless. */
  discard(key: string): void {
    this.#unsent.discard(key);
  }

  /** Marks a message as sent, because its event has arrived, possibly before the response. */
  confirm(key: string, messageId: string): void {
    this.#unsent.settle(key, messageId);
  }

  /** Deletes all messages, so that the next user of this browser does not find them. */
  clear(): void {
    this.#unsent.clear();
  }

  /** Retries immediately, because the server is reachable again. */
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
      if (state === 'waiting' && !this.#sending.has(conversationId)) void this.#send(conversationId);
  }

  #next(conversationId: string): Unconfirmed | undefined {
    return this.items.get().find((item) => item.state === 'waiting' && item.conversationId === conversationId);
  }

  /** Sends the waiting messages of the conversation once no other tab does. */
  async #send(conversationId: string): Promise<void> {
    this.#sending.add(conversationId);
    const name = `messenger-outbox-${this.#viewerId}-${conversationId}`;
    await contend(name, this.#closed.signal, (end) => this.#sendInOrder(conversationId, end), {
      patienceMs: ASLEEP_MS,
    }).done;
    this.#sending.delete(conversationId);
    // A message may have been added in the meantime.
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
    // Signed out: the message waits until the same user signs in again.
    if (error && hasCode(error, 'UNAUTHENTICATED')) return false;
    if (error && isTemporary(error)) {
      const failures = (now.failures ?? 0) + 1;
      if (isCounted && failures < MAX_FAILURES) this.#unsent.put({ ...now, failures });
      if (!isCounted || failures < MAX_FAILURES) return false;
    }
    const problem = data?.createMessage.userErrors[0]?.message ?? (error ? messageOf(error) : 'The server rejected it.');
    this.#unsent.put({ ...now, state: 'failed', problem });
    return true;
  }

  /** Whether the server answers another query about the conversation. */
  async #isAnswered(id: string): Promise<boolean> {
    const { error } = await this.#client.query(UnreadCountDocument, { id }, { requestPolicy: 'network-only', ...ONCE });
    return !error || !isTemporary(error);
  }
}

/** Whether the content of the message may be the cause: a firewall may close the connection instead of answering. */
function isOfTheMessage(error: CombinedError): boolean {
  return error.networkError !== undefined && isTemporary(error) && ![408, 425, 429, 503].includes(statusOf(error) ?? 0);
}
