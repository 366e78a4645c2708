/**
 * One event stream for all tabs of a browser. The tab that holds a lock has the stream, and passes each result on
 * by BroadcastChannel; when it goes away, the lock falls to another tab, which goes on from the last cursor that it
 * has seen itself. That is simpler than single connection mode, where every tab has a connection again, and it keeps
 * the tabs in step: they get the same results. A result that comes twice around a change of leader is dropped here.
 */
import type { ExecutionResult, RequestParams, Sink } from 'graphql-sse';

import { createResumingClient } from '../../../../graphql/client/resuming.ts';
import { Store } from './store.ts';
import { backOff } from './waiting.ts';

type Result = ExecutionResult<Record<string, unknown>, Record<string, unknown>>;

type Said =
  | { kind: 'result'; viewer: string; result: Result }
  | { kind: 'connected'; connected: boolean }
  | { kind: 'is it connected?' }
  | { kind: 'look' };

export class SharedStream {
  /** Whether events come in at the moment, as far as is known. */
  readonly connected = new Store(true);
  readonly #channel = new BroadcastChannel('messenger-stream');
  /** What other tabs said before this one knew whose events it wants: part of it is after its first cursor. */
  readonly #early: Said[] = [];
  readonly #seen = new Set<string>();
  #missedEarly = false;
  #hear = (said: Said): void => {
    if (this.#early.length < REMEMBERED) this.#early.push(said);
    else this.#missedEarly = true;
  };
  #reconnect: (() => void) | undefined;

  constructor() {
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#hear(data);
  }

  /** Passes on what comes for the viewer after the cursor in the variables; once in the life of this object. */
  subscribe(viewer: string, request: RequestParams, sink: Sink<Result>): () => void {
    const stopped = new AbortController();
    let after = request.variables?.['after'];

    const pass = (result: Result) => {
      const cursor = cursorOf(result);
      if (cursor !== undefined) {
        if (this.#seen.has(cursor)) return;
        this.#remember(cursor);
        after = cursor;
      }
      sink.next(result);
    };

    this.#hear = (said) => {
      if (said.kind === 'result' && said.viewer === viewer) pass(said.result);
      else if (said.kind === 'connected') this.connected.set(said.connected);
      else if (said.kind === 'look') this.#reconnect?.();
      else if (said.kind === 'is it connected?' && this.#reconnect) this.#sayConnected(this.connected.get());
    };
    if (typeof after === 'string') this.#remember(after);
    for (const said of this.#early.splice(0)) this.#hear(said);
    this.#say({ kind: 'is it connected?' });

    const lead = () => {
      const client = createResumingClient({
        url: '/graphql',
        fetch: async (...asked) => {
          const response = await fetch(...asked);
          if (response.ok) this.#sayConnected(true);
          return response;
        },
        wait: (failures) => {
          this.#sayConnected(false);
          return backOff(failures, stopped.signal);
        },
      });
      let current: symbol;
      const connect = () => {
        const mine = (current = Symbol());
        return client.subscribe<Record<string, unknown>, Record<string, unknown>>(
          { ...request, variables: { ...request.variables, after } },
          {
            next: (result) => {
              this.#say({ kind: 'result', viewer, result });
              pass(result);
            },
            error: (reason) => mine === current && sink.error(reason),
            complete: () => mine === current && sink.complete(),
          },
        );
      };
      let disconnect = connect();
      this.#reconnect = () => {
        current = Symbol();
        disconnect();
        disconnect = connect();
      };
      stopped.signal.addEventListener('abort', () => {
        this.#reconnect = undefined;
        client.dispose();
      });
    };

    const leading = () =>
      new Promise<void>((resolve) => {
        lead();
        stopped.signal.addEventListener('abort', () => resolve());
      });
    if (this.#missedEarly) queueMicrotask(() => sink.error(new Error('Too much has come before the start.')));
    // Where a page came by plain HTTP from elsewhere, there are no locks: then each tab has a stream of its own.
    else if (!('locks' in navigator)) void leading();
    // Refused only when it is stopped while it waits.
    else navigator.locks.request(`messenger-stream-${viewer}`, { signal: stopped.signal }, leading).catch(() => {});
    return () => stopped.abort();
  }

  /** Whether the event with this cursor has been here, or the place was where everything began. */
  hasSeen(cursor: string): boolean {
    return this.#seen.has(cursor);
  }

  /** Connects anew: after a sleep, a dead connection would be noticed late. */
  look(): void {
    if (this.#reconnect) this.#reconnect();
    else this.#say({ kind: 'look' });
  }

  close(): void {
    this.#channel.close();
  }

  #say(said: Said): void {
    this.#channel.postMessage(said);
  }

  #sayConnected(connected: boolean): void {
    this.connected.set(connected);
    this.#say({ kind: 'connected', connected });
  }

  #remember(cursor: string): void {
    this.#seen.add(cursor);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
  }
}

const REMEMBERED = 1000;

function cursorOf(result: Result): string | undefined {
  const created = result.data?.['messageCreated'] as { cursor?: string } | null | undefined;
  return created?.cursor;
}
