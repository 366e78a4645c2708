/** The client against graphql-sse's own server, in both modes, with connections that break. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

import type { ExecutionResult } from 'graphql-sse';
import { createHandler } from 'graphql-sse/lib/use/http';

import { Inbox, type Said, schemaOf } from './inbox-of-texts.ts';
import { createResumingClient, hasCode, type ResumingClient, type ResumingOptions } from './resuming.ts';

const query = 'subscription ($after: String) { said(after: $after) { cursor text } }';
const queryOfAllTypes =
  'subscription ($after: String) { said: events(after: $after) { __typename cursor ... on Said { text } } }';

/** Records the results that a subscriber gets, and how the subscription ends. */
class Heard {
  readonly results: ExecutionResult<{ said: Said }>[] = [];
  readonly ends: unknown[] = [];
  next = (result: ExecutionResult<{ said: Said }>) => void this.results.push(result);
  complete = () => void this.ends.push('complete');
  error = (reason: unknown) => void this.ends.push(reason);

  get texts(): (string | undefined)[] {
    return this.results.map(({ data }) => data?.said.text);
  }

  get codes(): unknown[] {
    return this.results.flatMap(({ errors = [] }) => errors.map(({ extensions }) => extensions?.['code']));
  }
}

/** Waits for the condition, under the timeout of the suite. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

for (const singleConnection of [false, true]) {
  describe(`in ${singleConnection ? 'single connection' : 'distinct connections'} mode`, { timeout: 50_000 }, () => {
    let inbox: Inbox;
    let heard: Heard;
    let server: Server;
    let streams: ServerResponse[];
    /** Responds in place of the handler when it returns true. */
    let intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
    let clients: ResumingClient[];

    beforeEach(async () => {
      inbox = new Inbox();
      heard = new Heard();
      streams = [];
      intercept = () => false;
      clients = [];
      const handler = createHandler({ schema: schemaOf(inbox) });
      server = createServer((request, response) => {
        if (intercept(request, response)) return;
        if (request.headers.accept === 'text/event-stream') streams.push(response);
        void handler(request, response);
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
    });

    afterEach(() => {
      for (const client of clients) client.dispose();
      server.closeAllConnections();
      server.close();
    });

    function connect(options: Partial<ResumingOptions> = {}): ResumingClient {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/`;
      const client = createResumingClient({ url, singleConnection, wait: () => sleep(5), ...options });
      clients.push(client);
      return client;
    }

    /** Subscribes from the current position of the inbox. */
    const listen = (client: ResumingClient, listener = heard) =>
      client.subscribe({ query, variables: { after: inbox.cursor } }, listener);

    it('delivers every event once and in order across lost connections', async () => {
      const failures = new Set<number>();
      listen(connect({ wait: async (count) => void failures.add(count) }));
      for (let round = 1; round <= 10; round++) {
        inbox.add(`${round}a`, `${round}b`);
        await until(() => heard.texts.length === 2 * round);
        server.closeAllConnections();
      }
      const rounds = Array.from({ length: 10 }, (_, index) => index + 1);
      assert.deepEqual(
        heard.texts,
        rounds.flatMap((round) => [`${round}a`, `${round}b`]),
      );
      // Each event resets the count.
      assert.deepEqual([...failures], [1]);
      assert.deepEqual(heard.ends, []);
    });

    it('backs off and reconnects when a stream has exhausted its budget', async () => {
      const failures: number[] = [];
      inbox.limited = 3;
      listen(connect({ wait: async (count) => void failures.push(count) }));
      await until(() => failures.length === 3);
      inbox.add('at last');
      await until(() => heard.texts.length === 1);
      assert.deepEqual(heard.texts, ['at last']);
      assert.deepEqual(failures, [1, 2, 3]);
      assert.deepEqual(heard.ends, []);
    });

    it('reconnects when the server ends a stream before the first event', async () => {
      listen(connect());
      await until(() => streams.length === 1);
      streams[0]?.end();
      await until(() => streams.length === 2);
      inbox.add('after all');
      await until(() => heard.texts.length === 1);
    });

    it('resumes two subscriptions independently', async () => {
      const other = new Heard();
      const client = connect();
      listen(client);
      inbox.add('to one');
      await until(() => heard.texts.length === 1);
      listen(client, other);
      inbox.add('to both');
      await until(() => other.texts.length === 1);
      server.closeAllConnections();
      inbox.add('after the cut');
      await until(() => heard.texts.length === 3);
      await until(() => other.texts.length === 2);
      assert.deepEqual(heard.texts, ['to one', 'to both', 'after the cut']);
      assert.deepEqual(other.texts, ['to both', 'after the cut']);
      assert.deepEqual([heard.ends, other.ends], [[], []]);
    });

    it('reconnects when the stream ends between the response and the first wait for an event', async () => {
      let streamEnded = false;
      listen(
        connect({
          async fetch(input, init) {
            const response = await fetch(input, init);
            const [watched, passedOn] = response.body?.tee() ?? [];
            if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
              new Response(watched).text().then(
                () => (streamEnded = true),
                () => {},
              );
            } else if (init?.method === 'POST' && streams.length === 1) {
              streams[0]?.end();
              await until(() => streamEnded);
              await setImmediate();
            }
            return new Response(passedOn, response);
          },
        }),
      );
      // In distinct connections mode, the response is the stream.
      if (!singleConnection) await until(() => streams.length === 1);
      if (!singleConnection) streams[0]?.end();
      await until(() => streams.length === 2);
      inbox.add('after all');
      await until(() => heard.texts.length === 1);
    });

    it('treats silence as a lost connection', async () => {
      // The server pings less often than this.
      listen(connect({ silenceMs: 100 }));
      await until(() => streams.length === 3);
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
    });

    it('aborts requests that get no response', async () => {
      const unanswered: ServerResponse[] = [];
      intercept = (_, response) => unanswered.length < 2 && Boolean(unanswered.push(response));
      listen(connect({ silenceMs: 100 }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      await until(() => unanswered.every(({ closed }) => closed));
    });

    it('retries while the server is unavailable', async () => {
      const failures: number[] = [];
      let left = 3;
      intercept = (_, response) => left-- > 0 && Boolean(response.writeHead(503).end());
      listen(connect({ wait: async (count) => void failures.push(count) }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      assert.deepEqual(failures, [1, 2, 3]);
    });

    it('calls refetch when its cursor has expired, and continues from there', async () => {
      async function refetch(): Promise<string> {
        const cursor = inbox.cursor;
        inbox.add('since then');
        return cursor;
      }
      listen(connect({ refetch }));
      inbox.add('seen');
      await until(() => heard.texts.length === 1);
      server.closeAllConnections();
      inbox.add('shown by the refetch');
      inbox.trimmedTo = 2;
      await until(() => heard.texts.length === 2);
      assert.deepEqual(heard.texts, ['seen', 'since then']);
      assert.deepEqual(heard.ends, []);
    });

    it('resumes from the cursor of an event of any type', async () => {
      connect().subscribe({ query: queryOfAllTypes, variables: { after: inbox.cursor } }, heard);
      inbox.add('seen');
      inbox.moveOn();
      await until(() => heard.results.length === 2);
      inbox.trimmedTo = 2;
      server.closeAllConnections();
      inbox.add('after the cut');
      await until(() => heard.results.length === 3);
      assert.deepEqual(heard.texts, ['seen', undefined, 'after the cut']);
      assert.deepEqual(heard.codes, []);
    });

    it('calls refetch when its cursor is invalid, and again after later events', async () => {
      const rejected = new Set<string>();
      inbox.isValid = (cursor) => !rejected.has(cursor);
      let refetches = 0;
      async function refetch(): Promise<string> {
        refetches++;
        inbox.moveOn();
        return inbox.cursor;
      }
      listen(connect({ refetch }));
      for (let round = 1; round <= 2; round++) {
        inbox.add(`before downgrade ${round}`);
        await until(() => heard.texts.length === 2 * round - 1);
        rejected.add(inbox.cursor);
        server.closeAllConnections();
        await until(() => refetches === round);
        inbox.add(`after downgrade ${round}`);
        await until(() => heard.texts.length === 2 * round);
      }
      assert.deepEqual(
        heard.texts,
        [1, 2].flatMap((round) => [`before downgrade ${round}`, `after downgrade ${round}`]),
      );
      assert.deepEqual([heard.codes, heard.ends], [[], []]);
    });

    it('reports an invalid cursor that refetch returned', async () => {
      inbox.isValid = () => false;
      let refetches = 0;
      listen(connect({ refetch: async () => String(refetches++) }));
      await until(() => heard.ends.length === 1);
      assert.deepEqual(heard.codes, ['CURSOR_INVALID']);
      assert.deepEqual([refetches, heard.ends], [1, ['complete']]);
    });

    it('waits before it calls refetch again if there was no event since', async () => {
      const waits: [failures: number, refetches: number][] = [];
      let refetches = 0;
      inbox.trimmedTo = 10;
      async function refetch(): Promise<string> {
        if (++refetches === 4) inbox.trimmedTo = 0;
        return inbox.cursor;
      }
      listen(connect({ refetch, wait: async (failures) => void waits.push([failures, refetches]) }));
      inbox.add('at last');
      await until(() => refetches === 4);
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      // The first call is made at once.
      assert.deepEqual(waits, [
        [1, 1],
        [2, 2],
        [3, 3],
      ]);
    });

    it('does not call refetch when unsubscribed during the wait for it', async () => {
      let goOn: (() => void) | undefined;
      let refetches = 0;
      inbox.trimmedTo = 10;
      const refetch = async () => String(refetches++);
      const stop = listen(connect({ refetch, wait: () => new Promise((resolve) => (goOn = resolve)) }));
      await until(() => goOn !== undefined);
      stop();
      goOn?.();
      await setImmediate();
      assert.deepEqual([refetches, heard.ends], [1, ['complete']]);
    });

    it('does not modify the headers', async () => {
      const headers = { authorization: 'Bearer token' };
      listen(connect({ headers: () => headers }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      assert.deepEqual(headers, { authorization: 'Bearer token' });
    });

    it('passes errors on as results and then completes', async () => {
      inbox.trimmedTo = 1;
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.equal(hasCode(heard.results[0] ?? {}, 'CURSOR_EXPIRED'), true);
      assert.equal(hasCode(heard.results[0] ?? {}, 'UNAUTHENTICATED'), false);
      assert.deepEqual(heard.ends, ['complete']);
    });

    it('passes on the errors of a rejected request', async () => {
      const errors = [{ message: 'Sign in.', extensions: { code: 'UNAUTHENTICATED' } }];
      intercept = (_, response) =>
        Boolean(response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ errors })));
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.deepEqual(heard.results, [{ errors }]);
      assert.deepEqual(heard.ends, ['complete']);
    });

    it('reconnects after a 404 in single connection mode only', async () => {
      let left = 1;
      intercept = ({ method }, response) =>
        method === 'POST' && left-- > 0 && Boolean(response.writeHead(404).end());
      listen(connect());
      inbox.add('heard');
      await until(() => heard.ends.length === 1 || heard.texts.length === 1);
      assert.equal(heard.texts.length, singleConnection ? 1 : 0);
    });

    it('reports a rejection without GraphQL errors', async () => {
      intercept = (_, response) => Boolean(response.writeHead(403).end());
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.match(String(heard.ends[0]), /403/);
    });

    it('reports exceptions of the listener and of the headers function', async () => {
      heard.next = () => {
        throw new Error('the page is broken');
      };
      const stop = listen(connect());
      inbox.add('heard');
      await until(() => heard.ends.length === 1);
      stop();
      assert.match(String(heard.ends), /the page is broken/);
      const signedOut = new Heard();
      listen(connect({ headers: () => Promise.reject(new Error('signed out')) }), signedOut);
      await until(() => signedOut.ends.length === 1);
      assert.match(String(signedOut.ends), /signed out/);
    });

    it('stops when unsubscribed', async () => {
      const stop = listen(connect());
      await until(() => streams.length === 1);
      stop();
      stop();
      assert.deepEqual(heard.ends, ['complete']);
      await until(() => streams[0]?.closed === true);
    });

    it('does not reconnect when unsubscribed during the wait', async () => {
      let goOn = () => {};
      const client = connect({ wait: () => new Promise((resolve) => (goOn = resolve)) });
      const stop = listen(client);
      await until(() => streams.length === 1);
      const before = goOn;
      streams[0]?.end();
      await until(() => goOn !== before);
      stop();
      goOn();
      assert.deepEqual(heard.ends, ['complete']);
      const other = new Heard();
      listen(client, other);
      inbox.add('to the other');
      await until(() => other.texts.length === 1);
      assert.deepEqual(heard.texts, []);
      assert.equal(streams.length, 2);
    });

    it('stops all subscriptions when disposed', async () => {
      intercept = (_, response) => Boolean(response.writeHead(503).end());
      const client = connect({ wait: () => new Promise(() => {}) });
      listen(client);
      client.dispose();
      assert.deepEqual(heard.ends, ['complete']);
    });
  });
}
