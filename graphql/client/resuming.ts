/**
 * A graphql-sse client that resumes. When a connection is lost, it subscribes again from the last cursor received,
 * so a subscription gets every event exactly once and in order, however often the connection breaks.
 *
 * Use its `subscribe` wherever a recipe for Apollo, urql or Relay uses that of graphql-sse's own client.
 */
import {
  type Client,
  createClient,
  type ExecutionResult,
  NetworkError,
  type RequestParams,
  type Sink,
} from 'graphql-sse';

export interface ResumingOptions {
  url: string;
  /** Called before each connection, so it can return a refreshed token. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  credentials?: 'omit' | 'same-origin' | 'include';
  /** Runs all subscriptions over one connection, for browsers that connect to the server over HTTP/1. */
  singleConnection?: boolean;
  /**
   * Called when the cursor has expired, or once if the server rejects it as invalid, as an older version does after a
   * downgrade. Fetch the displayed data again and return the `inboxCursor` that comes with it; the subscription
   * continues from there. Without this option, CURSOR_EXPIRED and CURSOR_INVALID are passed on like other errors.
   */
  refetch?: () => Promise<string>;
  /** Silence after which a connection counts as lost: 30 s by default. The server sends something every 15 s. */
  silenceMs?: number;
  /** Waits before the next attempt. `failures` is the number of failures since the last event, from 1. */
  wait?: (failures: number) => Promise<void>;
  fetch?: typeof fetch;
}

export type ResumingClient = Pick<Client, 'subscribe' | 'dispose'>;

/**
 * Creates a client for subscriptions that select `cursor` and take it as the variable `after`, such as `inboxEvents`
 * and `messageCreated`. Select `cursor` outside of fragments, so that every type of event has one, `CaughtUp` included.
 * Pass an `after` from `inboxCursor` to the first subscription too: without it, what happens before the first event
 * can be missed.
 *
 * A result with errors is passed on and ends the subscription. So is a 4xx response with GraphQL errors in its
 * body. The client reconnects silently after lost connections, and after streams that the server ends with
 * RATE_LIMITED.
 */
export function createResumingClient(options: ResumingOptions): ResumingClient {
  const { singleConnection = false, refetch, wait = backOff } = options;
  const stops = new Set<() => void>();
  const client = createClient<boolean>({
    url: options.url,
    singleConnection,
    // A copy, because the client adds the token of its reservation to it.
    headers: async () => ({ ...(await options.headers?.()) }),
    credentials: options.credentials ?? 'same-origin',
    retryAttempts: 0,
    fetchFn: watched(options.fetch ?? fetch, options.silenceMs ?? 30_000),
  });

  function subscribe<Data = Record<string, unknown>, Extensions = unknown>(
    request: RequestParams,
    sink: Sink<ExecutionResult<Data, Extensions>>,
  ): () => void {
    const variables = { ...request.variables };
    let failures = 0;
    /** Whether there has been no event since the last call of `refetch`. */
    let refetched = false;
    let over = false;
    let unsubscribe = () => {};

    function end(report: () => void): void {
      if (over) return;
      over = true;
      stops.delete(stop);
      unsubscribe();
      report();
    }
    const stop = () => end(() => sink.complete());
    const fail = (reason: unknown) => end(() => sink.error(reason));

    function attempt(): void {
      const since = Date.now();
      let stale = false;
      let limited = false;

      async function reconnect(): Promise<void> {
        unsubscribe(); // Abort requests that have had no response.
        failures = Date.now() - since > LONGEST_WAIT_MS ? 1 : failures + 1;
        await wait(failures);
        if (!over) attempt();
      }

      async function restart(fetchAgain: () => Promise<string>): Promise<void> {
        if (refetched) await wait(++failures);
        if (over) return;
        refetched = true;
        variables['after'] = await fetchAgain();
        if (!over) attempt();
      }

      /** An expired cursor can expire again. One that is invalid again after a refetch is a fault of the program. */
      function needsRefetch(result: Pick<ExecutionResult, 'errors'>): boolean {
        return hasCode(result, 'CURSOR_EXPIRED') || (hasCode(result, 'CURSOR_INVALID') && !refetched);
      }

      unsubscribe = client.subscribe<Data, Extensions>(
        { ...request, variables },
        {
          next(result) {
            if (over) return;
            // The last result of a stream that has exhausted its budget. The event has yet to be delivered.
            limited = result.data === undefined && hasCode(result, 'RATE_LIMITED');
            if (limited) return;
            stale = refetch !== undefined && needsRefetch(result);
            if (stale) return;
            failures = 0;
            refetched = false;
            variables['after'] = cursorOf(result) ?? variables['after'];
            sink.next(result);
          },
          complete() {
            if (over) return;
            if (limited) reconnect().catch(fail);
            else if (stale && refetch) restart(refetch).catch(fail);
            else stop();
          },
          error(reason) {
            if (over) return;
            if (isLost(reason, singleConnection)) reconnect().catch(fail);
            else
              errorsIn<Data, Extensions>(reason).then((result) => {
                if (!result) return fail(reason);
                if (!over) sink.next(result);
                stop();
              }, fail);
          },
        },
      );
    }

    stops.add(stop);
    attempt();
    return stop;
  }

  return {
    subscribe,
    dispose() {
      for (const stop of [...stops]) stop();
      client.dispose();
    },
  };
}

/** Returns whether an error of the result has this `extensions.code`. */
export function hasCode(result: Pick<ExecutionResult, 'errors'>, code: string): boolean {
  return result.errors?.some((error) => error.extensions?.['code'] === code) ?? false;
}

const LONGEST_WAIT_MS = 30_000;

/** Exponential backoff from one second, with full jitter so that clients do not all reconnect at once. */
function backOff(failures: number): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (failures - 1));
  return new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
}

/** The connection ended, or has been silent for too long. */
class ConnectionLost extends Error {}

/** Returns whether to reconnect after this error. All others are reported to the caller. */
function isLost(reason: unknown, singleConnection: boolean): boolean {
  if (!(reason instanceof NetworkError)) return reason instanceof ConnectionLost;
  const status = reason.response?.status ?? 0;
  if (status < 400 || status >= 500) return true;
  // Temporary: timeout, too early, too many requests. A 404 or 409 means that the reservation was lost with its
  // server process, or that its stream is still open.
  return [408, 425, 429].includes(status) || (singleConnection && [404, 409].includes(status));
}

async function errorsIn<Data, Extensions>(
  reason: unknown,
): Promise<ExecutionResult<Data, Extensions> | undefined> {
  if (!(reason instanceof NetworkError) || !(reason.response instanceof Response)) return undefined;
  const body: unknown = await reason.response.json().catch(() => undefined);
  return isRecord(body) && Array.isArray(body['errors']) ? body : undefined;
}

/** Returns the cursor of an event, which is in its only root field. */
function cursorOf(result: ExecutionResult<unknown, unknown>): string | undefined {
  const roots = isRecord(result.data) ? Object.values(result.data) : [];
  return roots.flatMap((root) => (isRecord(root) && typeof root['cursor'] === 'string' ? root['cursor'] : []))[0];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/**
 * Wraps fetch so that event streams fail with ConnectionLost when they end or are silent for too long. In single
 * connection mode, graphql-sse's client would not notice a stream that ends before the client first waits for an
 * event.
 */
function watched(fetchFn: typeof fetch, silenceMs: number): typeof fetch {
  return async (input, init) => {
    const response = await within(silenceMs, fetchFn(input, init));
    // Read the body now, because the client may have aborted the request by the time it is needed.
    if (!response.ok) return new Response(await within(silenceMs, response.text()), response);
    if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream'))
      return response;
    const reader = response.body.getReader();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const { done, value } = await within(silenceMs, reader.read());
            if (done) throw new ConnectionLost('The stream has ended.');
            controller.enqueue(value);
          } catch (reason) {
            const lost = reason instanceof ConnectionLost;
            controller.error(lost ? reason : new ConnectionLost(String(reason), { cause: reason }));
            reader.cancel(reason).catch(() => {});
          }
        },
        cancel: (reason) => reader.cancel(reason),
      },
      // Without read-ahead, so that a slow reader is not mistaken for a silent server.
      { highWaterMark: 0 },
    );
    return new Response(body, response);
  };
}

function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ConnectionLost('The server is silent.')), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
