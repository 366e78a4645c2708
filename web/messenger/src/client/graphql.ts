/** The urql client: the normalised cache, retries of queries, and subscriptions over the shared stream. */
import {
  Client,
  type CombinedError,
  fetchExchange,
  mapExchange,
  subscriptionExchange,
  type SubscriptionForwarder,
} from '@urql/core';
import { retryExchange } from '@urql/exchange-retry';

import { makeCache } from './cache.ts';
import { repeatEvents } from './repeated-events.ts';

interface Options {
  forwardSubscription: SubscriptionForwarder;
  /** The headers of each request. */
  headers(): Record<string, string>;
  /** The session has ended. */
  onSignedOut(): void;
  /** A response has the status 401 but no error code, so it may be a proxy's. */
  onUnauthorized(): void;
}

/** A context for queries that are not retried, because the caller decides that. */
export const ONCE = { triesOnce: true };

export function makeClient({ forwardSubscription, headers, onSignedOut, onUnauthorized }: Options): Client {
  return new Client({
    url: '/graphql',
    preferGetMethod: false,
    fetch: fetchWithTimeout,
    fetchOptions: () => ({ headers: headers() }),
    exchanges: [
      mapExchange({
        onError(error) {
          if (hasCode(error, 'UNAUTHENTICATED')) onSignedOut();
          else if (statusOf(error) === 401) onUnauthorized();
        },
      }),
      makeCache(),
      // Mutations are not retried here: the outbox and `Changes` do so, and users repeat other actions themselves.
      retryExchange({
        maxNumberAttempts: Infinity,
        maxDelayMs: 5000,
        retryIf: (error, { kind, context }) => kind === 'query' && !context['triesOnce'] && isTemporary(error),
      }),
      repeatEvents,
      subscriptionExchange({ forwardSubscription }),
      fetchExchange,
    ],
  });
}

/** Whether the same request may succeed in a moment. */
export function isTemporary(error: CombinedError): boolean {
  if (hasCode(error, 'UNAVAILABLE') || hasCode(error, 'RATE_LIMITED')) return true;
  const status = statusOf(error) ?? 0;
  if ([401, 408, 425, 429].includes(status)) return true;
  return error.networkError !== undefined && !(status >= 400 && status < 500);
}

/** The HTTP status of the response, if there was one. */
export function statusOf(error: CombinedError): number | undefined {
  return (error.response as Response | undefined)?.status;
}

export function hasCode(error: CombinedError | undefined, code: string): boolean {
  return error?.graphQLErrors.some(({ extensions }) => extensions['code'] === code) ?? false;
}

/** After how many seconds the server allows another attempt. */
export function retryAfterOf({ graphQLErrors }: CombinedError): number {
  return Math.max(0, ...graphQLErrors.map(({ extensions }) => Number(extensions['retryAfter'] ?? 0) || 0));
}

/** The text that the user sees for an error. */
export function messageOf(error: CombinedError): string {
  if (!error.networkError) return error.graphQLErrors[0]?.message ?? error.message;
  const status = statusOf(error);
  if (status === undefined) return 'The server cannot be reached.';
  if (status < 400) return 'The response is not from Messenger. Your network may require you to sign in first.';
  return status < 500 ? `The request was rejected (HTTP ${status}).` : `The server reported an error (HTTP ${status}).`;
}

/** Times out after 20 seconds. Otherwise a request on a connection that died while the device slept takes minutes. */
const fetchWithTimeout: typeof fetch = (input, init) => {
  const limit = AbortSignal.timeout(20_000);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, limit]) : limit });
};
