/**
 * What the sending of messages and that of changes have in common: how many requests run at a time, when a failed one
 * is repeated, and whether it failed because of its content or because the server is not available.
 */
import type { Client, CombinedError } from '@urql/core';

import { InboxCursorDocument } from '../generated/graphql.ts';
import { hasCode, isTemporary, ONCE, retryAfterOf, statusOf } from './graphql.ts';
import { Turns } from './turns.ts';
import { backOff } from './waiting.ts';

/** A request that is rejected without an answer this often fails because of its content. */
export const MAX_REJECTIONS = 5;
const MAX_CONCURRENT = 3;

export class Delivery {
  readonly #client: Client;
  readonly #turns = new Turns(MAX_CONCURRENT);
  readonly #closed = new AbortController();
  #waiting = new AbortController();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Aborted when the session ends. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Runs the work once few enough requests are running. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work);
  }

  /**
   * Whether the request failed because of its content, as when a firewall closes the connection instead of answering:
   * another query is answered at the same time.
   */
  async isOfTheContent(error: CombinedError): Promise<boolean> {
    const isPossible =
      error.networkError !== undefined && isTemporary(error) && ![408, 425, 429, 503].includes(statusOf(error) ?? 0);
    if (!isPossible) return false;
    const other = await this.#client.query(InboxCursorDocument, {}, { requestPolicy: 'network-only', ...ONCE });
    return !other.error || !isTemporary(other.error);
  }

  /**
   * Waits after this many failures in a row, and for as long as the server demands. Ends early when the server is
   * reachable again, or with `end`.
   */
  pause(failures: number, error: CombinedError, end = this.closed): Promise<void> {
    return backOff(failures, AbortSignal.any([end, this.#waiting.signal]), retryAfterOf(error) * 1000);
  }

  /** Ends all pauses, because the server is reachable again. */
  wake(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
  }

  close(): void {
    this.#closed.abort();
  }
}

/** Whether the request was not answered and should be repeated, possibly after the user has signed in again. */
export const isUnanswered = (error: CombinedError) => isTemporary(error) || hasCode(error, 'UNAUTHENTICATED');
