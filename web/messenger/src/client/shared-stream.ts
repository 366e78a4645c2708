/**
 * One event stream for all tabs of a browser. The leading tab has the stream, and sends each result to the others over
 * a BroadcastChannel. When it closes, another tab takes the lead, and resumes from the last cursor that it has seen
 * itself. A visible tab also takes the lead when the leader is suspended, as phones do with tabs in the background.
 * This is simpler than single connection mode, in which every tab needs a connection, and all tabs get the same
 * results. A result that arrives twice when the leader changes is dropped here.
 */
import type { ExecutionResult, RequestParams, Sink } from 'graphql-sse';

import { createResumingClient } from '../../../../graphql/client/resuming.ts';
import { openChannel } from './channel.ts';
import { contend, type Contest } from './leadership.ts';
import { leasesWork } from './leases.ts';
import { Store } from './store.ts';
import { backOff, LONGEST_MS } from './waiting.ts';

type Result = ExecutionResult<Record<string, unknown>, Record<string, unknown>>;

type StreamMessage =
  | { kind: 'result'; viewer: string; result: Result }
  /** With the cursor of the last result that the leader has sent. */
  | { kind: 'connected'; connected: boolean; cursor?: string | undefined }
  | { kind: 'is it connected?' }
  /** Reconnect, even if the connection seems to work. */
  | { kind: 'look' }
  /** Try to connect again, if the next attempt is overdue. */
  | { kind: 'hurry' };

export class SharedStream {
  /** Whether the stream is connected, as far as this tab knows. */
  readonly connected = new Store(true);
  readonly #channel = openChannel<StreamMessage>('messenger-inbox');
  /** What other tabs sent before `subscribe` was called; some of it comes after the first cursor. */
  readonly #early: StreamMessage[] = [];
  readonly #seen = new Set<string>();
  #missedEarly = false;
  #receive = (message: StreamMessage): void => {
    if (this.#early.length < REMEMBERED) this.#early.push(message);
    else this.#missedEarly = true;
  };
  /** Set while this tab leads. */
  #reconnect: (() => void) | undefined;
  #hurry: (() => void) | undefined;
  #contest: Contest | undefined;
  #unanswered: ReturnType<typeof setTimeout> | undefined;
  #lastSeen: string | undefined;
  #behindSince: number | undefined;

  constructor() {
    this.#channel.listen((message) => this.#receive(message));
  }

  /** Subscribes to the viewer's events after the cursor in the variables. Call it only once per object. */
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

    this.#receive = (message) => {
      if (message.kind === 'result' && message.viewer === viewer) pass(message.result);
      else if (message.kind === 'look') this.#reconnect?.();
      else if (message.kind === 'hurry') this.#hurry?.();
      else if (message.kind === 'is it connected?' && this.#reconnect) this.#postConnected(this.connected.get());
      else if (message.kind === 'connected') {
        clearTimeout(this.#unanswered);
        this.connected.set(message.connected);
        this.#compare(message.connected ? message.cursor : undefined);
      }
    };
    if (typeof after === 'string') this.#remember(after);
    for (const message of this.#early.splice(0)) this.#receive(message);

    /** Keeps the stream open until `end` is aborted. */
    const lead = (end: AbortSignal) => {
      const client = createResumingClient({
        url: '/graphql',
        headers: () => headers,
        fetch: async (...asked) => {
          const response = await fetch(...asked);
          if (response.ok && !end.aborted) this.#postConnected(true);
          return response;
        },
        wait: (failures) => {
          if (!end.aborted) this.#postConnected(false);
          const waiting = new AbortController();
          const since = performance.now();
          this.#hurry = () => performance.now() - since > LONGEST_MS && waiting.abort();
          return backOff(failures, AbortSignal.any([end, waiting.signal]));
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
              this.#post({ kind: 'result', viewer, result });
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
        if (performance.now() - since < 1000) return; // All tabs request it at the same time.
        current = Symbol();
        disconnect();
        disconnect = connect();
      };
      end.addEventListener('abort', () => {
        current = Symbol();
        this.#reconnect = this.#hurry = undefined;
        client.dispose();
      });
    };

    const leading = (end: AbortSignal) =>
      new Promise<void>((resolve) => {
        lead(end);
        end.addEventListener('abort', () => resolve());
      });

    if (this.#missedEarly) queueMicrotask(() => sink.error(new Error('Too many events arrived before the subscription started.')));
    else
      this.#contest = contend(`messenger-inbox-${viewer}`, stopped.signal, leading, {
        isAlone: !this.#channel.works || !('locks' in navigator || leasesWork()),
      });
    this.checkLeader();
    stopped.signal.addEventListener('abort', () => clearTimeout(this.#unanswered));
    return () => stopped.abort();
  }

  /** Checks that the leading tab responds, and makes it reconnect if necessary; otherwise takes the lead. */
  checkLeader(): void {
    if (this.#reconnect || !this.#contest) return;
    // In the background, the timer for the leader's own next attempt may be a minute late.
    if (!this.connected.get()) this.#post({ kind: 'hurry' });
    this.#post({ kind: 'is it connected?' });
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      if (!this.#reconnect && document.visibilityState === 'visible') this.#contest?.take();
    }, ASLEEP_MS);
  }

  /** Whether this tab has seen the event with this cursor, or started from this cursor. */
  hasSeen(cursor: string): boolean {
    return this.#seen.has(cursor);
  }

  /** Reconnects, because a connection that died while the device slept would be noticed late. */
  look(): void {
    if (this.#reconnect) this.#reconnect();
    else this.#post({ kind: 'look' });
  }

  close(): void {
    this.#channel.close();
  }

  #post(message: StreamMessage): void {
    this.#channel.post(message);
  }

  #postConnected(connected: boolean): void {
    this.connected.set(connected);
    this.#post({ kind: 'connected', connected, cursor: this.#lastSeen });
  }

  /**
   * Browsers may drop what is sent to a suspended tab. A tab that lacks the leader's last result takes the lead, and
   * gets what it has missed from the server. For a moment after its start, it may be ahead of the leader.
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
/** Less than the time between two checks of the leader. */
const BEHIND_MS = 3000;
/** A leader answers immediately, even in the background. */
const ASLEEP_MS = 4000;

function cursorOf(result: Result): string | undefined {
  const event = result.data?.['inboxEvents'] as { cursor?: string | null } | null | undefined;
  return event?.cursor ?? undefined;
}
