/** urql, put together: the normalised cache, queries that are tried again, and subscriptions over the shared stream. */
import {
  Client,
  type CombinedError,
  createRequest,
  fetchExchange,
  mapExchange,
  subscriptionExchange,
  type SubscriptionForwarder,
} from '@urql/core';
import { retryExchange } from '@urql/exchange-retry';

import { makeCache } from './cache.ts';

interface Options {
  forwardSubscription: SubscriptionForwarder;
  /** The server no longer knows who this is. */
  onSignedOut(): void;
}

export function makeClient({ forwardSubscription, onSignedOut }: Options): Client {
  return new Client({
    url: '/graphql',
    preferGetMethod: false,
    fetch: impatientFetch,
    exchanges: [
      mapExchange({
        onError(error) {
          if (hasCode(error, 'UNAUTHENTICATED')) onSignedOut();
        },
      }),
      makeCache(),
      // Mutations are not sent again from here: messages are by the outbox, and with the rest the person decides.
      retryExchange({
        maxNumberAttempts: Infinity,
        maxDelayMs: 5000,
        retryIf: (error, { kind }) => kind === 'query' && isTemporary(error),
      }),
      subscriptionExchange({ forwardSubscription }),
      fetchExchange,
    ],
  });
}

/** A client that asks as this one does, but whose answers do not go into the cache. */
export function withoutCache(client: Client): Client {
  const { context } = client.createRequestOperation('query', createRequest('{ __typename }', {}));
  const { url, fetch, fetchOptions, preferGetMethod } = context;
  return new Client({ url, fetch, fetchOptions, preferGetMethod, exchanges: [fetchExchange] });
}

/** Whether the same request may well succeed in a moment. */
export function isTemporary(error: CombinedError): boolean {
  return error.networkError !== undefined || hasCode(error, 'UNAVAILABLE') || hasCode(error, 'RATE_LIMITED');
}

export function hasCode(error: CombinedError | undefined, code: string): boolean {
  return error?.graphQLErrors.some(({ extensions }) => extensions['code'] === code) ?? false;
}

/** What to tell the person of an error. */
export function messageOf(error: CombinedError): string {
  return error.networkError ? 'The server cannot be reached.' : (error.graphQLErrors[0]?.message ?? error.message);
}

/** A request over a connection that has died in a sleep would wait for minutes. */
const impatientFetch: typeof fetch = (input, init) => {
  const limit = AbortSignal.timeout(20_000);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, limit]) : limit });
};
