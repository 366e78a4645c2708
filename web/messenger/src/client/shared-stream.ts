/**
 * One event stream for all tabs of a browser. The tab that holds a lock leads: it has the stream, and passes each result
 * on by BroadcastChannel. When it goes away, the lock falls to another tab, which goes on from the last cursor that it
 * has seen itself; a leader that a phone has put to sleep, lock in hand, is robbed of it by a tab that somebody looks
 * at. That is simpler than single connection mode, where every tab has a connection again, and it keeps the tabs in
 * step: they get the same results. A result that comes twice around a change of leader is dropped here.
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
  /** There while this tab leads. */
  #reconnect: (() => void) | undefined;
  #rob: (() => void) | undefined;
  #unanswered: ReturnType<typeof setTimeout> | undefined;

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
      else if (said.kind === 'look') this.#reconnect?.();
      else if (said.kind === 'is it connected?' && this.#reconnect) this.#sayConnected(this.connected.get());
      else if (said.kind === 'connected') {
        clearTimeout(this.#unanswered);
        this.connected.set(said.connected);
      }
    };
    if (typeof after === 'string') this.#remember(after);
    for (const said of this.#early.splice(0)) this.#hear(said);

    /** Leads until the signal. */
    const lead = (end: AbortSignal) => {
      const client = createResumingClient({
        url: '/graphql',
        fetch: async (...asked) => {
          const response = await fetch(...asked);
          if (response.ok && !end.aborted) this.#sayConnected(true);
          return response;
        },
        wait: (failures) => {
          if (!end.aborted) this.#sayConnected(false);
          return backOff(failures, end);
        },
      });
      let current: symbol;
      let since: number;
      const connect = () => {
        const mine = (current = Symbol());
        since = performance.now();
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
      clearTimeout(this.#unanswered);
      this.#reconnect = () => {
        if (performance.now() - since < 1000) return; // All tabs ask for it at the same time.
        current = Symbol();
        disconnect();
        disconnect = connect();
      };
      end.addEventListener('abort', () => {
        current = Symbol();
        this.#reconnect = undefined;
        client.dispose();
      });
    };

    /** Waits for the lock, or takes it, and leads as long as it is ours. */
    const follow = async (rob: boolean): Promise<void> => {
      const ours = new AbortController();
      const end = AbortSignal.any([stopped.signal, ours.signal]);
      const leading = () =>
        new Promise<void>((resolve) => {
          if (end.aborted) return resolve();
          lead(end);
          end.addEventListener('abort', () => resolve());
        });
      this.#rob = () => {
        ours.abort();
        void follow(true);
      };
      try {
        // Where a page came by plain HTTP from elsewhere there are no locks: then each tab has a stream of its own.
        if (!('locks' in navigator)) await leading();
        else await navigator.locks.request(`messenger-stream-${viewer}`, rob ? { steal: true } : { signal: end }, leading);
      } catch {
        // We gave up waiting, or were robbed ourselves.
        const wasRobbed = !end.aborted;
        ours.abort();
        if (wasRobbed) void follow(false);
      }
    };

    if (this.#missedEarly) queueMicrotask(() => sink.error(new Error('Too much has come before the start.')));
    else void follow(false);
    this.checkLeader();
    stopped.signal.addEventListener('abort', () => clearTimeout(this.#unanswered));
    return () => stopped.abort();
  }

  /** Makes sure that whoever leads is awake, and tries to connect if nothing is; else this tab takes the lead. */
  checkLeader(): void {
    if (this.#reconnect || !this.#rob) return;
    // In the background its own next attempt may be a minute away.
    if (!this.connected.get()) this.#say({ kind: 'look' });
    this.#say({ kind: 'is it connected?' });
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      if (!this.#reconnect && document.visibilityState === 'visible') this.#rob?.();
    }, ASLEEP_MS);
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
/** A leader answers at once, even in the background. */
const ASLEEP_MS = 4000;

function cursorOf(result: Result): string | undefined {
  const created = result.data?.['messageCreated'] as { cursor?: string } | null | undefined;
  return created?.cursor;
}
