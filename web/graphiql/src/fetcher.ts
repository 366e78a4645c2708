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

/** Executes a query or mutation. Never throws; failures are returned as errors in the result. */
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
    // Parsed here because the document that GraphiQL provides lags behind fast typing.
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false; // A syntax error, which the server reports.
  }
}

/** Yields the events of a subscription; if it fails, the last one contains the errors. */
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
    // A silent reconnect would skip events in between; developers should see the interruption.
    retryAttempts: 0,
    // Kept because the client's error does not contain the server's response.
    fetchFn: async (...request: Parameters<typeof fetch>) => (response = await fetch(...request)),
  });
  const events = client.iterate({ query, variables, ...(operationName && { operationName }) });
  async function lastWord(reason: unknown): Promise<IteratorResult<unknown>> {
    const answered = response && !response.bodyUsed;
    const value = answered ? await readAnswer(response!).catch(failure) : failure(reason);
    return { done: false, value };
  }
  return {
    // Not a generator, because stopping one would wait for the next event.
    [Symbol.asyncIterator]: () => ({
      next: () => events.next().catch(lastWord),
      async return() {
        client.dispose();
        return { done: true, value: undefined };
      },
    }),
  };
}
