import type { GraphiQLProps } from 'graphiql';
import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-sse';

import { type Answer, failure, postJson, readAnswer } from './http';

type Fetcher = GraphiQLProps['fetcher'];
type Params = Parameters<Fetcher>[0];
type Headers = Record<string, string>;

const endpoint = '/graphql';

export const fetcher = ((params: Params, options?: { headers?: Headers }) =>
  isSubscription(params)
    ? subscribe(params, options?.headers)
    : execute(params, options?.headers)) as Fetcher;

/** A query or mutation. Never throws: what went wrong is the result. */
export async function execute(params: Params, headers?: Headers): Promise<Answer> {
  try {
    const response = await postJson(endpoint, params, {
      accept: 'application/graphql-response+json, application/json',
      ...headers,
    });
    return await readAnswer(response);
  } catch (reason) {
    return failure(reason);
  }
}

function isSubscription({ query, operationName }: Params): boolean {
  try {
    // Parsed here because the document that GraphiQL hands over lags behind fast typing.
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false; // A syntax error: the server says what it is.
  }
}

/** Each event of a subscription; one that fails has what went wrong as its last. */
function subscribe(
  { query, variables, operationName }: Params,
  headers: Headers = {},
): AsyncIterable<unknown> {
  let response: Response | undefined;
  // A client for each subscription, because the headers may differ.
  const client = createClient({
    url: endpoint,
    credentials: 'same-origin',
    headers,
    // A silent reconnect would leave out what happened in between; a developer should see the break.
    retryAttempts: 0,
    // Kept because the client's error does not tell what the server answered.
    fetchFn: async (...request: Parameters<typeof fetch>) => (response = await fetch(...request)),
  });
  const events = client.iterate({ query, variables, ...(operationName && { operationName }) });
  async function lastWord(reason: unknown): Promise<IteratorResult<unknown>> {
    const answered = response && !response.bodyUsed;
    const value = answered ? await readAnswer(response!).catch(failure) : failure(reason);
    return { done: false, value };
  }
  return {
    // By hand, as a generator would let a stop wait for the next event.
    [Symbol.asyncIterator]: () => ({
      next: () => events.next().catch(lastWord),
      async return() {
        client.dispose();
        return { done: true, value: undefined };
      },
    }),
  };
}
