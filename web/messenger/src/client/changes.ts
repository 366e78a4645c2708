/**
 * Edits and deletions of the viewer's messages that the server has not confirmed. They are shown immediately, and sent
 * until the server answers, which is safe because both can be repeated. A rejected one stays until it is discarded, so
 * that the text of an edit is not lost.
 */
import type { Client, CombinedError } from '@urql/core';

import {
  DeleteMessageDocument,
  EditMessageDocument,
  MessageDocument,
  type UserErrorFieldsFragment,
} from '../generated/graphql.ts';
import { type Delivery, isUnanswered, MAX_REJECTIONS } from './delivery.ts';
import { messageOf } from './graphql.ts';
import { Store } from './store.ts';
import { listenToTabs } from './tabs.ts';

interface Edit {
  kind: 'edit';
  content: string;
  /** The version of the message that the user has edited. */
  version: number;
}

export type Change = (Edit | { kind: 'delete' }) & {
  conversationId: string;
  state: 'waiting' | 'failed';
  problem?: string;
  /** How often the request failed although the server was reachable. */
  rejections?: number;
};

/** What outlives a session, because the user may continue in the next one. */
interface Kept {
  viewerId: string;
  items: Store<ReadonlyMap<string, Change>>;
}

let kept: Kept | undefined;

// Also between two sessions: the server may end this tab's before the other tab says that the user has signed out.
listenToTabs((message) => {
  if (message.kind === 'signed out' && message.id === kept?.viewerId) kept.items.set(new Map());
});

export class Changes {
  /** By the ID of the message, which has at most one. */
  readonly items: Store<ReadonlyMap<string, Change>>;
  readonly #client: Client;
  readonly #delivery: Delivery;
  readonly #sending = new Set<string>();
  /** The versions before and after an edit that the server has saved although it had been discarded, by message. */
  readonly #savedAnyway = new Map<string, { before: number; after: number }>();

  constructor(client: Client, viewerId: string, delivery: Delivery) {
    this.#client = client;
    this.#delivery = delivery;
    if (kept?.viewerId !== viewerId) kept = { viewerId, items: new Store(new Map()) };
    this.items = kept.items;
    for (const messageId of this.items.get().keys()) void this.#send(messageId);
  }

  edit(conversationId: string, messageId: string, content: string, version: number): void {
    const saved = this.#savedAnyway.get(messageId);
    // An edit that was begun before that save is not in conflict with it.
    const seen = saved?.before === version ? saved.after : version;
    this.#put(messageId, { kind: 'edit', conversationId, content, version: seen, state: 'waiting' });
    void this.#send(messageId);
  }

  delete(conversationId: string, messageId: string): void {
    this.#put(messageId, { kind: 'delete', conversationId, state: 'waiting' });
    void this.#send(messageId);
  }

  discard(messageId: string): void {
    const items = new Map(this.items.get());
    items.delete(messageId);
    this.items.set(items);
  }

  /** Forgets all changes of this tab. */
  clear(): void {
    this.items.set(new Map());
  }

  #put(messageId: string, change: Change): void {
    this.items.set(new Map(this.items.get()).set(messageId, change));
  }

  #waiting(messageId: string): Change | undefined {
    const change = this.items.get().get(messageId);
    return change?.state === 'waiting' && !this.#delivery.closed.aborted ? change : undefined;
  }

  /** Sends the change of the message, and then the one that replaced it in the meantime. */
  async #send(messageId: string): Promise<void> {
    if (this.#sending.has(messageId)) return;
    this.#sending.add(messageId);
    let failures = 0;
    while (this.#waiting(messageId)) {
      const error = await this.#delivery.inTurn(() => this.#sendOnce(messageId));
      if (!error) failures = 0;
      else await this.#delivery.pause(++failures, error);
    }
    this.#sending.delete(messageId);
  }

  /** Returns the error after which the change should be sent again. */
  async #sendOnce(messageId: string): Promise<CombinedError | undefined> {
    const change = this.#waiting(messageId);
    if (!change) return undefined;
    const { message, userErrors, error } =
      change.kind === 'edit' ? await this.#edit(messageId, change) : await this.#delete(messageId);
    const isRejected = error !== undefined && (await this.#delivery.isOfTheContent(error));
    const [userError] = userErrors ?? [];
    const isDone = message && !userError;
    const now = this.items.get().get(messageId);
    if (now !== change) {
      if (isDone && change.kind === 'edit')
        this.#savedAnyway.set(messageId, { before: change.version, after: message.version });
      // The user has edited the text that has just been saved.
      if (isDone && now?.kind === 'edit') this.#put(messageId, { ...now, version: message.version });
      return error && isUnanswered(error) ? error : undefined;
    }
    if (isDone) {
      this.discard(messageId);
      return undefined;
    }
    if (error && isUnanswered(error)) {
      const rejections = (change.rejections ?? 0) + (isRejected ? 1 : 0);
      if (rejections < MAX_REJECTIONS) {
        if (isRejected) this.#put(messageId, { ...change, rejections });
        return error;
      }
    }
    // No event says that the time for edits is over.
    if (userError?.code === 'TOO_LATE')
      void this.#client.query(MessageDocument, { id: messageId }, { requestPolicy: 'network-only' }).toPromise();
    const problem = problemOf(userError, message?.deletedAt !== null, error);
    this.#put(messageId, { ...change, state: 'failed', problem });
    return undefined;
  }

  async #edit(messageId: string, { content, version }: Edit) {
    const input = { messageId, content, expectedVersion: version };
    const { data, error } = await this.#client.mutation(EditMessageDocument, { input });
    return { ...data?.updateMessage, error };
  }

  async #delete(messageId: string) {
    const { data, error } = await this.#client.mutation(DeleteMessageDocument, { input: { messageId } });
    return { ...data?.deleteMessage, error };
  }
}

function problemOf(userError: UserErrorFieldsFragment | undefined, isGone: boolean, error?: CombinedError): string {
  switch (userError?.code) {
    case 'CONFLICT':
      return isGone
        ? 'The message has been deleted elsewhere.'
        : 'The message has been changed elsewhere. Compare the two texts.';
    case 'TOO_LATE':
      return 'The time for editing this message has passed.';
    case 'NOT_ALLOWED':
      return 'This message can no longer be changed.';
    case 'NOT_FOUND':
      return 'This message no longer exists.';
    default:
      return userError?.message ?? (error ? messageOf(error) : 'The server rejected it.');
  }
}
