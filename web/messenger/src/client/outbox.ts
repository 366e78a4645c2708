/**
 * Sends the viewer's messages. A message is shown immediately, and sent until the server answers; its idempotency key
 * prevents duplicates. In each conversation, messages are sent one after the other, by one tab of the browser at a
 * time. A rejected message is marked, and the next one is sent.
 */
import type { Client, CombinedError } from '@urql/core';

import { SendMessageDocument } from '../generated/graphql.ts';
import { type Delivery, isUnanswered, MAX_REJECTIONS } from './delivery.ts';
import { messageOf } from './graphql.ts';
import { newKey } from './keys.ts';
import { contend } from './leadership.ts';
import type { Store } from './store.ts';
import { type Unconfirmed, UnsentMessages } from './unsent.ts';

const MAX_WAITING = 500;
/** Longer than a request may take, so a tab that makes no progress for this long is suspended. */
const ASLEEP_MS = 30_000;

export class Outbox {
  readonly items: Store<readonly Unconfirmed[]>;
  readonly #unsent: UnsentMessages;
  readonly #client: Client;
  readonly #viewerId: string;
  readonly #delivery: Delivery;
  /** The conversations in which this tab sends, or waits to send. */
  readonly #sending = new Set<string>();
  readonly #ends: (() => void)[];

  constructor(client: Client, viewerId: string, delivery: Delivery) {
    this.#client = client;
    this.#viewerId = viewerId;
    this.#delivery = delivery;
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
    const { problem: _, rejections: __, ...again } = item;
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

  /** Deletes all unsent messages. */
  clear(): void {
    this.#unsent.clear();
  }

  close(): void {
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
    await contend(name, this.#delivery.closed, (end) => this.#sendInOrder(conversationId, end), {
      patienceMs: ASLEEP_MS,
    }).done;
    this.#sending.delete(conversationId);
    // A message may have been added in the meantime.
    if (!this.#delivery.closed.aborted && this.#next(conversationId)) void this.#send(conversationId);
  }

  async #sendInOrder(conversationId: string, end: AbortSignal): Promise<void> {
    let failures = 0;
    let next: Unconfirmed | undefined;
    while (!end.aborted && (next = this.#next(conversationId))) {
      const { key } = next;
      const error = await this.#delivery.inTurn(() => this.#sendOne(key, end));
      if (!error) failures = 0;
      else if (!end.aborted) await this.#delivery.pause(++failures, error, end);
    }
  }

  /** Returns the error after which the message should be sent again. Without one, the next message may be sent. */
  async #sendOne(key: string, end: AbortSignal): Promise<CombinedError | undefined> {
    this.#unsent.refresh(key);
    const item = this.#unsent.get(key);
    if (end.aborted || item?.state !== 'waiting') return undefined;
    const { conversationId, content } = item;
    const { data, error } = await this.#client.mutation(SendMessageDocument, {
      input: { conversationId, content, idempotencyKey: key },
    });
    const isRejected = error !== undefined && (await this.#delivery.isOfTheContent(error));
    const now = this.#unsent.get(key);
    if (now?.state !== 'waiting') return undefined;
    const message = data?.createMessage.message;
    if (message) {
      this.#unsent.put({ ...now, state: 'sent', messageId: message.id });
      return undefined;
    }
    if (error && isUnanswered(error)) {
      const rejections = (now.rejections ?? 0) + (isRejected ? 1 : 0);
      if (rejections < MAX_REJECTIONS) {
        if (isRejected) this.#unsent.put({ ...now, rejections });
        return error;
      }
    }
    const problem = data?.createMessage.userErrors[0]?.message ?? (error ? messageOf(error) : 'The server rejected it.');
    this.#unsent.put({ ...now, state: 'failed', problem });
    return undefined;
  }
}
