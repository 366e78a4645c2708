/**
 * One event stream for all tabs of a browser. The tab that leads has the stream, and passes each result on by
 * BroadcastChannel. When it goes away, another tab takes the lead, and goes on from the last cursor that it has seen
 * itself; so does a tab that somebody looks at when the leader is asleep, as phones do with tabs in the background. That is
 * simpler than single connection mode, where every tab has a connection again, and it keeps the tabs in step: they get
 * the same results. A result that comes twice around a change of leader is dropped here.
 */
import type { ExecutionResult, RequestParams, Sink } from 'graphql-sse';

import { createResumingClient } from '../../../../graphql/client/resuming.ts';
import { openChannel } from './channel.ts';
import { contend, type Contest } from './leadership.ts';
import { leasesWork } from './leases.ts';
import { Store } from './store.ts';
import { backOff } from './waiting.ts';

type Result = ExecutionResult<Record<string, unknown>, Record<string, unknown>>;

type Said =
  | { kind: 'result'; viewer: string; result: Result }
  /** With the cursor of the last result that the leader has passed on. */
  | { kind: 'connected'; connected: boolean; cursor?: string | undefined }
  | { kind: 'is it connected?' }
  | { kind: 'look' };

export class SharedStream {
  /** Whether events come in at the moment, as far as is known. */
  readonly connected = new Store(true);
  readonly #channel = openChannel<Said>('messenger-stream');
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
  #contest: Contest | undefined;
  #unanswered: ReturnType<typeof setTimeout> | undefined;
  #lastSeen: string | undefined;
  #behindSince: number | undefined;

  constructor() {
    this.#channel.hear((said) => this.#hear(said));
  }

  /** Passes on what comes for the viewer after the cursor in the variables; once in the life of this object. */
  subscribe(
    viewer: string,
    request: RequestParams,
    sink: Sink<Result>,
    headers: Record<string, string>,
  ): () => void {
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
        this.#compare(said.connected ? said.cursor : undefined);
      }
    };
    if (typeof after === 'string') this.#remember(after);
    for (const said of this.#early.splice(0)) this.#hear(said);

    /** Leads until the signal. */
    const lead = (end: AbortSignal) => {
      const client = createResumingClient({
        url: '/graphql',
        headers: () => headers,
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

    const leading = (end: AbortSignal) =>
      new Promise<void>((resolve) => {
        lead(end);
        end.addEventListener('abort', () => resolve());
      });

    if (this.#missedEarly) queueMicrotask(() => sink.error(new Error('Too much has come before the start.')));
    else
      this.#contest = contend(`messenger-stream-${viewer}`, stopped.signal, leading, {
        isAlone: !this.#channel.works || !('locks' in navigator || leasesWork()),
      });
    this.checkLeader();
    stopped.signal.addEventListener('abort', () => clearTimeout(this.#unanswered));
    return () => stopped.abort();
  }

  /** Makes sure that whoever leads is awake, and tries to connect if nothing is; else this tab takes the lead. */
  checkLeader(): void {
    if (this.#reconnect || !this.#contest) return;
    // In the background its own next attempt may be a minute away.
    if (!this.connected.get()) this.#say({ kind: 'look' });
    this.#say({ kind: 'is it connected?' });
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      if (!this.#reconnect && document.visibilityState === 'visible') this.#contest?.take();
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
    this.#channel.say(said);
  }

  #sayConnected(connected: boolean): void {
    this.connected.set(connected);
    this.#say({ kind: 'connected', connected, cursor: this.#lastSeen });
  }

  /**
   * A browser may drop what is said to a tab that sleeps. A tab that does not have the leader's last result takes the lead,
   * and gets what it misses from the server. At its start it may be ahead of the leader, for a moment.
   */
  #compare(cursor: string | undefined): void {
    if (cursor === undefined || this.#seen.has(cursor)) this.#behindSince = undefined;
    else if (this.#behindSince === undefined) this.#behindSince = performance.now();
    else if (performance.now() - this.#behindSince > BEHIND_MS && document.visibilityState === 'visible') {
      this.#behindSince = undefined;
      this.#contest?.take();
    }
  }

  #remember(cursor: string): void {
    this.#lastSeen = cursor;
    this.#seen.add(cursor);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
  }
}

const REMEMBERED = 1000;
/** Less than the time between two looks at the leader. */
const BEHIND_MS = 3000;
/** A leader answers at once, even in the background. */
const ASLEEP_MS = 4000;

function cursorOf(result: Result): string | undefined {
  const created = result.data?.['messageCreated'] as { cursor?: string } | null | undefined;
  return created?.cursor;
}
