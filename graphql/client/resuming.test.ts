/** The client against graphql-sse's own server, in both modes, over connections that break. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

import { GraphQLError, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import type { ExecutionResult } from 'graphql-sse';
import { createHandler } from 'graphql-sse/lib/use/http';

import { createResumingClient, hasCode, type ResumingClient, type ResumingOptions } from './resuming.ts';

const query = 'subscription ($after: String) { said(after: $after) { cursor text } }';

interface Said {
  cursor: string;
  text: string;
}

/** An inbox: texts, where a cursor is how many there were. */
class Inbox {
  private readonly texts: string[] = [];
  private readonly waiting = new Set<() => void>();
  trimmedTo = 0;
  /** How many more subscriptions are refused as over their budget. */
  limited = 0;

  get cursor(): string {
    return String(this.texts.length);
  }

  add(...texts: string[]): void {
    this.texts.push(...texts);
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  follow(after: string): AsyncGenerator<Said> {
    if (this.limited-- > 0)
      throw new GraphQLError('Try again.', { extensions: { code: 'RATE_LIMITED', retryAfter: 1 } });
    if (Number(after) < this.trimmedTo)
      throw new GraphQLError('Fetch again.', { extensions: { code: 'CURSOR_EXPIRED' } });
    return this.since(Number(after));
  }

  private async *since(position: number): AsyncGenerator<Said> {
    for (;;) {
      for (; position < this.texts.length; position++)
        yield { cursor: String(position + 1), text: this.texts[position] ?? '' };
      await new Promise<void>((wake) => this.waiting.add(wake));
    }
  }
}

function schemaOf(inbox: Inbox): GraphQLSchema {
  const text = { type: new GraphQLNonNull(GraphQLString) };
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { text } }),
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: {
        said: {
          type: new GraphQLObjectType({ name: 'Said', fields: { cursor: text, text } }),
          args: { after: { type: GraphQLString } },
          subscribe: (_, { after }: { after: string }) => inbox.follow(after),
          resolve: (said: Said) => said,
        },
      },
    }),
  });
}

/** What a subscriber gets, and how it ends. */
class Heard {
  readonly results: ExecutionResult<{ said: Said }>[] = [];
  readonly ends: unknown[] = [];
  next = (result: ExecutionResult<{ said: Said }>) => void this.results.push(result);
  complete = () => void this.ends.push('complete');
  error = (reason: unknown) => void this.ends.push(reason);

  get texts(): (string | undefined)[] {
    return this.results.map(({ data }) => data?.said.text);
  }
}

/** Waits until it is so; the suite's timeout ends what never is. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

for (const singleConnection of [false, true]) {
  describe(`in ${singleConnection ? 'single connection' : 'distinct connections'} mode`, { timeout: 20_000 }, () => {
    let inbox: Inbox;
    let heard: Heard;
    let server: Server;
    let streams: ServerResponse[];
    /** Answers in the handler's place when it returns true. */
    let meddle: (request: IncomingMessage, response: ServerResponse) => boolean;
    let clients: ResumingClient[];

    beforeEach(async () => {
      inbox = new Inbox();
      heard = new Heard();
      streams = [];
      meddle = () => false;
      clients = [];
      const handler = createHandler({ schema: schemaOf(inbox) });
      server = createServer((request, response) => {
        if (meddle(request, response)) return;
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

    /** Subscribes from where the inbox stands. */
    const listen = (client: ResumingClient, listener = heard) =>
      client.subscribe({ query, variables: { after: inbox.cursor } }, listener);

    it('gets every event once and in order over cuts', async () => {
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
      // Each event starts the count anew.
      assert.deepEqual([...failures], [1]);
      assert.deepEqual(heard.ends, []);
    });

    it('comes back, more slowly each time, when a stream is over its budget', async () => {
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

    it('comes back when the server ends a stream before the first event', async () => {
      listen(connect());
      await until(() => streams.length === 1);
      streams[0]?.end();
      await until(() => streams.length === 2);
      inbox.add('after all');
      await until(() => heard.texts.length === 1);
    });

    it('keeps two subscriptions apart, and both come back', async () => {
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

    it('comes back from a cut between the answer to a request and the first wait for an event', async () => {
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
      // In distinct mode, the answer is the stream.
      if (!singleConnection) await until(() => streams.length === 1);
      if (!singleConnection) streams[0]?.end();
      await until(() => streams.length === 2);
      inbox.add('after all');
      await until(() => heard.texts.length === 1);
    });

    it('takes silence for a cut', async () => {
      // The server's own pings are further apart than this.
      listen(connect({ silenceMs: 100 }));
      await until(() => streams.length === 3);
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
    });

    it('gives up on a request that is not answered', async () => {
      const unanswered: ServerResponse[] = [];
      meddle = (_, response) => unanswered.length < 2 && Boolean(unanswered.push(response));
      listen(connect({ silenceMs: 100 }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      await until(() => unanswered.every(({ closed }) => closed));
    });

    it('tries again while the server cannot answer', async () => {
      const failures: number[] = [];
      let left = 3;
      meddle = (_, response) => left-- > 0 && Boolean(response.writeHead(503).end());
      listen(connect({ wait: async (count) => void failures.push(count) }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      assert.deepEqual(failures, [1, 2, 3]);
    });

    it('has the app fetch again when its cursor is no longer kept, and goes on from there', async () => {
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

    it('leaves the headers as they are', async () => {
      const headers = { authorization: 'Bearer token' };
      listen(connect({ headers: () => headers }));
      inbox.add('heard');
      await until(() => heard.texts.length === 1);
      assert.deepEqual(headers, { authorization: 'Bearer token' });
    });

    it('passes errors on as results, which end it', async () => {
      inbox.trimmedTo = 1;
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.equal(hasCode(heard.results[0] ?? {}, 'CURSOR_EXPIRED'), true);
      assert.equal(hasCode(heard.results[0] ?? {}, 'UNAUTHENTICATED'), false);
      assert.deepEqual(heard.ends, ['complete']);
    });

    it('shows why it is refused', async () => {
      const errors = [{ message: 'Sign in.', extensions: { code: 'UNAUTHENTICATED' } }];
      meddle = (_, response) =>
        Boolean(response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ errors })));
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.deepEqual(heard.results, [{ errors }]);
      assert.deepEqual(heard.ends, ['complete']);
    });

    it('takes an unknown reservation for a cut, and an unknown address for what it is', async () => {
      let left = 1;
      meddle = ({ method }, response) =>
        method === 'POST' && left-- > 0 && Boolean(response.writeHead(404).end());
      listen(connect());
      inbox.add('heard');
      await until(() => heard.ends.length === 1 || heard.texts.length === 1);
      assert.equal(heard.texts.length, singleConnection ? 1 : 0);
    });

    it('reports a refusal that says nothing', async () => {
      meddle = (_, response) => Boolean(response.writeHead(403).end());
      listen(connect());
      await until(() => heard.ends.length === 1);
      assert.match(String(heard.ends[0]), /403/);
    });

    it('reports what the listener or the headers throw', async () => {
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

    it('stops when told to', async () => {
      const stop = listen(connect());
      await until(() => streams.length === 1);
      stop();
      stop();
      assert.deepEqual(heard.ends, ['complete']);
      await until(() => streams[0]?.closed === true);
    });

    it('stops while it waits, and does not come back', async () => {
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

    it('stops everything when it is disposed of', async () => {
      meddle = (_, response) => Boolean(response.writeHead(503).end());
      const client = connect({ wait: () => new Promise(() => {}) });
      listen(client);
      client.dispose();
      assert.deepEqual(heard.ends, ['complete']);
    });
  });
}
