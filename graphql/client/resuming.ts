/**
 * graphql-sse's client, made to come back. After a cut it subscribes again, from the last cursor that it saw:
 * a subscription gets every event once and in order, however often the connection breaks.
 *
 * Its `subscribe` stands wherever a recipe for Apollo, urql or Relay has that of graphql-sse's own client.
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
  /** Asked before each connection, so that a token may be a new one. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  credentials?: 'omit' | 'same-origin' | 'include';
  /** All subscriptions over one connection, for browsers that reach the server by HTTP/1. */
  singleConnection?: boolean;
  /**
   * Called when the cursor is no longer kept: fetches what is shown anew, and returns the `inboxCursor` that was
   * part of it. The subscription goes on from there. Without it, CURSOR_EXPIRED is a result like other errors.
   */
  refetch?: () => Promise<string>;
  /** How long nothing may come until the connection counts as lost; the server is never silent for over 15 s. */
  silenceMs?: number;
  /** Waits before the next attempt; `failures` counts those since the last event, from 1. */
  wait?: (failures: number) => Promise<void>;
  fetch?: typeof fetch;
}

export type ResumingClient = Pick<Client, 'subscribe' | 'dispose'>;

/**
 * Makes a client for subscriptions that select `cursor` and take it as the variable `after`. Give the first one
 * an `after` too, from `inboxCursor`: without it, what is sent before the first event may be missed.
 *
 * A result with errors is passed on, and ends the subscription. So does an answer that refuses the request
 * (4xx), as far as it says why in JSON. Lost connections are never reported, only repaired, and so are streams
 * that the server ends with RATE_LIMITED.
 */
export function createResumingClient(options: ResumingOptions): ResumingClient {
  const { singleConnection = false, refetch, wait = backOff } = options;
  const stops = new Set<() => void>();
  const client = createClient<boolean>({
    url: options.url,
    singleConnection,
    // A copy, because the client puts its reservation's token into it.
    headers: async () => ({ ...(await options.headers?.()) }),
    credentials: options.credentials ?? 'same-origin',
    retryAttempts: 0,
    fetchFn: watched(options.fetch ?? fetch, options.silenceMs ?? 45_000),
  });

  function subscribe<Data = Record<string, unknown>, Extensions = unknown>(
    request: RequestParams,
    sink: Sink<ExecutionResult<Data, Extensions>>,
  ): () => void {
    const variables = { ...request.variables };
    let failures = 0;
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
      let expired = false;
      let limited = false;

      async function comeBack(): Promise<void> {
        unsubscribe(); // What it waits for without an answer is given up.
        failures = Date.now() - since > LONGEST_WAIT_MS ? 1 : failures + 1;
        await wait(failures);
        if (!over) attempt();
      }

      async function startAnew(refetched: Promise<string>): Promise<void> {
        variables['after'] = await refetched;
        if (!over) attempt();
      }

      unsubscribe = client.subscribe<Data, Extensions>(
        { ...request, variables },
        {
          next(result) {
            if (over) return;
            // The last result of a stream that is over its budget: the event is still to come.
            limited = result.data === undefined && hasCode(result, 'RATE_LIMITED');
            if (limited) return;
            failures = 0;
            variables['after'] = cursorOf(result) ?? variables['after'];
            expired = refetch !== undefined && hasCode(result, 'CURSOR_EXPIRED');
            if (!expired) sink.next(result);
          },
          complete() {
            if (over) return;
            if (limited) comeBack().catch(fail);
            else if (expired && refetch) startAnew(refetch()).catch(fail);
            else stop();
          },
          error(reason) {
            if (over) return;
            if (isCut(reason, singleConnection)) comeBack().catch(fail);
            else
              refusalIn<Data, Extensions>(reason).then((refusal) => {
                if (!refusal) return fail(reason);
                if (!over) sink.next(refusal);
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

/** Whether an error of the result carries the code, as `extensions.code`. */
export function hasCode(result: Pick<ExecutionResult, 'errors'>, code: string): boolean {
  return result.errors?.some((error) => error.extensions?.['code'] === code) ?? false;
}

const LONGEST_WAIT_MS = 30_000;

/** Waits up to a second, then twice that, and so on, by chance: not everybody is to return at the same moment. */
function backOff(failures: number): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (failures - 1));
  return new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
}

/** A connection is lost, or as good as lost. */
class Cut extends Error {}

/** Whether to come back after this; everything else is for the caller to know. */
function isCut(reason: unknown, singleConnection: boolean): boolean {
  if (!(reason instanceof NetworkError)) return reason instanceof Cut;
  const status = reason.response?.status ?? 0;
  if (status < 400 || status >= 500) return true;
  // Not now: timeout, too early, too many. A reservation may have ended with its process, or have its stream.
  return [408, 425, 429].includes(status) || (singleConnection && [404, 409].includes(status));
}

async function refusalIn<Data, Extensions>(
  reason: unknown,
): Promise<ExecutionResult<Data, Extensions> | undefined> {
  if (!(reason instanceof NetworkError) || !(reason.response instanceof Response)) return undefined;
  const body: unknown = await reason.response.json().catch(() => undefined);
  return isRecord(body) && Array.isArray(body['errors']) ? body : undefined;
}

/** The cursor of an event: that of its only root field. */
function cursorOf(result: ExecutionResult<unknown, unknown>): string | undefined {
  const roots = isRecord(result.data) ? Object.values(result.data) : [];
  return roots.flatMap((root) => (isRecord(root) && typeof root['cursor'] === 'string' ? root['cursor'] : []))[0];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/**
 * A fetch whose event streams end in an error: a cut when they just end, or are silent for too long. In single
 * connection mode, graphql-sse's client does not notice an end that comes before its first wait for an event.
 */
function watched(fetchFn: typeof fetch, silenceMs: number): typeof fetch {
  return async (input, init) => {
    const response = await within(silenceMs, fetchFn(input, init));
    // Read now, because the client may have given the request up before we look at the reason.
    if (!response.ok) return new Response(await within(silenceMs, response.text()), response);
    if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream'))
      return response;
    const reader = response.body.getReader();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const { done, value } = await within(silenceMs, reader.read());
            if (done) throw new Cut('The stream has ended.');
            controller.enqueue(value);
          } catch (reason) {
            controller.error(reason instanceof Cut ? reason : new Cut(String(reason), { cause: reason }));
            reader.cancel(reason).catch(() => {});
          }
        },
        cancel: (reason) => reader.cancel(reason),
      },
      // Nothing is read ahead: the silence of a reader is not that of the server.
      { highWaterMark: 0 },
    );
    return new Response(body, response);
  };
}

function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Cut('The server is silent.')), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
