/**
 * Edits and deletions of the viewer's messages that the server has not confirmed. They are shown immediately, and sent
 * until the server answers, which is safe because both can be repeated. A rejected one stays until it is discarded, so
 * that the text of an edit is not lost.
 */
import type { Client, CombinedError } from '@urql/core';

import { DeleteMessageDocument, EditMessageDocument, type UserErrorFieldsFragment } from '../generated/graphql.ts';
import { hasCode, isTemporary, messageOf } from './graphql.ts';
import { Store } from './store.ts';
import { backOff } from './waiting.ts';

interface Edit {
  kind: 'edit';
  content: string;
  /** The version of the message that the user has edited. */
  version: number;
}

export type Change = (Edit | { kind: 'delete' }) & {
  state: 'waiting' | 'failed';
  problem?: string;
};

/** A message that the user is editing, and the text in the field. */
export interface Editing {
  messageId: string;
  text: string;
  version: number;
}

type Outcome = { kind: 'done'; version: number } | { kind: 'rejected'; problem: string } | { kind: 'unanswered' };

/** A request that fails this often while the server is reachable is not repeated. */
const MAX_FAILURES = 5;

/** What outlives a session, because the user may continue in the next one. */
interface Kept {
  viewerId: string;
  items: Store<ReadonlyMap<string, Change>>;
  editing: Map<string, Editing>;
}

let kept: Kept | undefined;

export class Changes {
  /** By the ID of the message, which has at most one. */
  readonly items: Store<ReadonlyMap<string, Change>>;
  /** Edits that the user has not saved, by the ID of the conversation. */
  readonly editing: Map<string, Editing>;
  readonly #client: Client;
  readonly #connected: Store<boolean>;
  readonly #closed = new AbortController();
  readonly #sending = new Set<string>();
  #waiting = new AbortController();

  /** `connected` says whether the server is reachable, as far as this tab knows. */
  constructor(client: Client, viewerId: string, connected: Store<boolean>) {
    this.#client = client;
    this.#connected = connected;
    if (kept?.viewerId !== viewerId) kept = { viewerId, items: new Store(new Map()), editing: new Map() };
    this.items = kept.items;
    this.editing = kept.editing;
    for (const messageId of this.items.get().keys()) void this.#send(messageId);
  }

  edit({ messageId, text, version }: Editing): void {
    this.#put(messageId, { kind: 'edit', content: text, version, state: 'waiting' });
    void this.#send(messageId);
  }

  delete(messageId: string): void {
    this.#put(messageId, { kind: 'delete', state: 'waiting' });
    void this.#send(messageId);
  }

  discard(messageId: string): void {
    const items = new Map(this.items.get());
    items.delete(messageId);
    this.items.set(items);
  }

  /** Forgets everything, so that the next user of this browser does not find it. */
  clear(): void {
    this.items.set(new Map());
    this.editing.clear();
  }

  /** Retries immediately, because the server is reachable again. */
  wake(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
  }

  close(): void {
    this.#closed.abort();
  }

  #put(messageId: string, change: Change): void {
    this.items.set(new Map(this.items.get()).set(messageId, change));
  }

  /** Sends the change of the message, and then the one that replaced it in the meantime. */
  async #send(messageId: string): Promise<void> {
    if (this.#sending.has(messageId)) return;
    this.#sending.add(messageId);
    let failures = 0;
    for (;;) {
      const change = this.items.get().get(messageId);
      if (change?.state !== 'waiting' || this.#closed.signal.aborted) break;
      const outcome = await this.#attempt(messageId, change);
      const now = this.items.get().get(messageId);
      if (outcome.kind === 'unanswered') {
        if (this.#connected.get()) failures++;
        if (failures === MAX_FAILURES && now === change) this.#reject(messageId, change, 'The server does not answer.');
        else await backOff(Math.max(failures, 1), AbortSignal.any([this.#closed.signal, this.#waiting.signal]));
      } else if (now === change) {
        if (outcome.kind === 'done') this.discard(messageId);
        else this.#reject(messageId, change, outcome.problem);
      } else {
        failures = 0;
        // The user has edited the text that has just been saved.
        if (outcome.kind === 'done' && now?.kind === 'edit') this.#put(messageId, { ...now, version: outcome.version });
      }
    }
    this.#sending.delete(messageId);
  }

  #reject(messageId: string, change: Change, problem: string): void {
    this.#put(messageId, { ...change, state: 'failed', problem });
  }

  async #attempt(messageId: string, change: Change): Promise<Outcome> {
    const { message, userErrors, error } =
      change.kind === 'edit' ? await this.#edit(messageId, change) : await this.#delete(messageId);
    if (error && (isTemporary(error) || hasCode(error, 'UNAUTHENTICATED'))) return { kind: 'unanswered' };
    const [userError] = userErrors ?? [];
    if (message && !userError) return { kind: 'done', version: message.version };
    return { kind: 'rejected', problem: problemOf(userError, message?.deletedAt !== null, error) };
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
        ? 'The message has been deleted on another device.'
        : 'The message has been changed on another device. Compare the two texts.';
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
