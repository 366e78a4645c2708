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
  /** What each request says besides its operation. */
  headers(): Record<string, string>;
  /** The server no longer knows who this is. */
  onSignedOut(): void;
  /** Something answered 401 without saying more, such as a proxy. */
  onUnauthorized(): void;
}

/** A context for queries whose caller decides itself whether to try again. */
export const ONCE = { triesOnce: true };

export function makeClient({ forwardSubscription, headers, onSignedOut, onUnauthorized }: Options): Client {
  return new Client({
    url: '/graphql',
    preferGetMethod: false,
    fetch: impatientFetch,
    fetchOptions: () => ({ headers: headers() }),
    exchanges: [
      mapExchange({
        onError(error) {
          if (hasCode(error, 'UNAUTHENTICATED')) onSignedOut();
          else if (statusOf(error) === 401) onUnauthorized();
        },
      }),
      makeCache(),
      // Mutations are not sent again from here: messages are by the outbox, and with the rest the person decides.
      retryExchange({
        maxNumberAttempts: Infinity,
        maxDelayMs: 5000,
        retryIf: (error, { kind, context }) => kind === 'query' && !context['triesOnce'] && isTemporary(error),
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
  if (hasCode(error, 'UNAVAILABLE') || hasCode(error, 'RATE_LIMITED')) return true;
  const status = statusOf(error) ?? 0;
  if ([401, 408, 425, 429].includes(status)) return true;
  return error.networkError !== undefined && !(status >= 400 && status < 500);
}

/** The HTTP status of the answer, if there was one. */
export function statusOf(error: CombinedError): number | undefined {
  return (error.response as Response | undefined)?.status;
}

export function hasCode(error: CombinedError | undefined, code: string): boolean {
  return error?.graphQLErrors.some(({ extensions }) => extensions['code'] === code) ?? false;
}

/** What to tell the person of an error. */
export function messageOf(error: CombinedError): string {
  if (!error.networkError) return error.graphQLErrors[0]?.message ?? error.message;
  const status = statusOf(error);
  if (status === undefined) return 'The server cannot be reached.';
  if (status < 400) return 'The answer is not from the messenger. Is there a sign-in page of the network in between?';
  return status < 500 ? `The request was rejected (HTTP ${status}).` : `The server has a problem (HTTP ${status}).`;
}

/** A request over a connection that has died in a sleep would wait for minutes. */
const impatientFetch: typeof fetch = (input, init) => {
  const limit = AbortSignal.timeout(20_000);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, limit]) : limit });
};
