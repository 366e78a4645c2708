/** The session of a signed-in user, from the first query to the last event. */
import type { Client } from '@urql/core';
import { createContext, useContext } from 'react';

import {
  InboxCursorDocument,
  InboxDocument,
  InboxEventsDocument,
  type InboxEventsSubscription,
  ServerVersionDocument,
  type UserFieldsFragment,
} from '../generated/graphql.ts';
import { Changes } from './changes.ts';
import { Delivery } from './delivery.ts';
import { Drafts } from './drafts.ts';
import { Edits } from './edits.ts';
import { forgetOthers } from './forgetting.ts';
import { hasCode, isTemporary, makeClient, messageOf, ONCE } from './graphql.ts';
import { newKey } from './keys.ts';
import { askBeforeLeaving } from './leaving.ts';
import { Outbox } from './outbox.ts';
import { isRepeated } from './repeated-events.ts';
import { SharedStream } from './shared-stream.ts';
import { listenToTabs, postToTabs } from './tabs.ts';

export type InboxEvent = InboxEventsSubscription['inboxEvents'];

/** A tab that was hidden for longer than this checks that it has not missed an event. */
const AWAY_MS = 20_000;
/** How long it waits for the event. The server sends the cursor of other entries within 10 seconds. */
const MISSING_MS = 15_000;
/** How often a visible tab checks that the tab with the stream is responsive. */
const CHECK_MS = 5000;

/** The result of starting a session. If the failure `isTemporary`, another attempt may succeed in a moment. */
export type Start =
  | { kind: 'signed in' }
  | { kind: 'signed out' }
  | { kind: 'failed'; problem: string; isTemporary: boolean };

export class Session {
  readonly id = newKey();
  readonly client: Client;
  readonly #stream = new SharedStream();
  readonly #ends: (() => void)[] = [];
  readonly #listeners = new Set<(event: InboxEvent) => void>();
  /** What has arrived before the page listens; it does so as soon as it is rendered. */
  #early: InboxEvent[] | undefined = [];
  readonly #onOver: () => void;
  readonly #delivery: Delivery;
  #outbox: Outbox | undefined;
  #changes: Changes | undefined;
  #drafts: Drafts | undefined;
  #edits: Edits | undefined;
  #viewer: UserFieldsFragment | undefined;
  #over = false;
  #checking = false;
  /** Until the event is missing with which this tab was found to be behind. */
  #missing: ReturnType<typeof setTimeout> | undefined;

  /** `onOver` is called once, when the session has ended and another one should be started. */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
    this.client = makeClient({
      forwardSubscription: ({ query = '', variables = {} }) => ({
        subscribe: (sink) => ({
          unsubscribe: this.#stream.subscribe(this.viewer.id, { query, variables }, sink, speaksFor(this.viewer.id)),
        }),
      }),
      headers: () => (this.#viewer ? speaksFor(this.#viewer.id) : {}),
      onSignedOut: () => this.#viewer && this.end(),
      onUnauthorized: () => this.#viewer && void this.#checkViewer(),
    });
    this.#delivery = new Delivery(this.client);
  }

  get viewer(): UserFieldsFragment {
    if (!this.#viewer) throw new Error('No user is signed in.');
    return this.#viewer;
  }

  get outbox(): Outbox {
    if (!this.#outbox) throw new Error('No user is signed in.');
    return this.#outbox;
  }

  /** Edits and deletions of messages that the server has not confirmed. */
  get changes(): Changes {
    if (!this.#changes) throw new Error('No user is signed in.');
    return this.#changes;
  }

  get drafts(): Drafts {
    if (!this.#drafts) throw new Error('No user is signed in.');
    return this.#drafts;
  }

  /** Edits that the user has begun and not saved. */
  get edits(): Edits {
    if (!this.#edits) throw new Error('No user is signed in.');
    return this.#edits;
  }

  get connected() {
    return this.#stream.connected;
  }

  /** Fetches the viewer. If a user is signed in, subscribes to events and starts sending. */
  async start(): Promise<Start> {
    const { data, error } = await this.client.query(InboxDocument, {}, { requestPolicy: 'network-only', ...ONCE });
    const isSignedOut = hasCode(error, 'UNAUTHENTICATED') || (!error && data?.viewer === null);
    if (!isSignedOut && (error || !data?.viewer)) {
      const problem = error ? messageOf(error) : 'The server sent a response without data.';
      return { kind: 'failed', problem, isTemporary: !error || isTemporary(error) };
    }
    if (this.#over) return { kind: 'signed out' };
    postToTabs({ kind: 'viewer', id: data?.viewer?.id ?? null });
    if (isSignedOut || !data?.viewer) return { kind: 'signed out' };
    this.#viewer = data.viewer;
    forgetOthers(data.viewer.id);
    this.#drafts = new Drafts(data.viewer.id);
    this.#edits = new Edits(data.viewer.id);
    const outbox = (this.#outbox = new Outbox(this.client, data.viewer.id, this.#delivery));
    const changes = (this.#changes = new Changes(this.client, data.viewer.id, this.#delivery));
    const listening = this.client
      .subscription(InboxEventsDocument, { after: data.inboxCursor })
      .subscribe((result) => {
        // For example, the cursor has expired: the next session fetches everything again.
        if (result.error || !result.hasNext) this.end();
        else if (result.data && !isRepeated(result)) this.#arrived(result.data.inboxEvents);
      });
    this.#ends.push(
      () => listening.unsubscribe(),
      askBeforeLeaving(outbox.items, changes.items),
      this.connected.watch(() => this.connected.get() && this.#wake()),
      listenToTabs(({ kind, id }) => (kind === 'signed out' || id !== this.viewer.id) && this.end()),
      this.#watchReturns(),
    );
    return { kind: 'signed in' };
  }

  /**
   * Calls the listener with each event, including those of the viewer's own actions, after the cache is updated. The
   * listeners that are added together first also get the events before.
   */
  listen(listener: (event: InboxEvent) => void): () => void {
    this.#listeners.add(listener);
    queueMicrotask(() => {
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const event of early) this.#tell(event);
    });
    return () => this.#listeners.delete(listener);
  }

  /** Deletes what the user has not sent, in all tabs, so that the next user of this browser does not find it. */
  forget(): void {
    for (const each of [this.outbox, this.changes, this.drafts, this.edits]) each.clear();
    postToTabs({ kind: 'signed out', id: this.viewer.id });
  }

  /** Closes the session and calls `onOver`. */
  end(): void {
    if (this.#over) return;
    this.close();
    this.#onOver();
  }

  close(): void {
    this.#over = true;
    for (const end of this.#ends.splice(0)) end();
    clearTimeout(this.#missing);
    this.#delivery.close();
    this.#outbox?.close();
    this.#stream.close();
  }

  #arrived(event: InboxEvent): void {
    if (event.__typename === 'MessageCreated' && event.message.idempotencyKey)
      this.outbox.confirm(event.message.idempotencyKey, event.message.id);
    if (this.#early) this.#early.push(event);
    else this.#tell(event);
  }

  #tell(event: InboxEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #wake(): void {
    this.#delivery.wake();
    void this.client.query(ServerVersionDocument, {}, { requestPolicy: 'network-only', ...ONCE }).toPromise();
  }

  #watchReturns(): () => void {
    let hiddenSince: number | undefined;
    const onVisible = () => {
      if (document.visibilityState === 'hidden') {
        hiddenSince = Date.now();
        return;
      }
      this.#stream.checkLeader();
      if (hiddenSince !== undefined && Math.abs(Date.now() - hiddenSince) > AWAY_MS) {
        this.#stream.look();
        void this.#compare();
      }
    };
    const timer = setInterval(() => document.visibilityState === 'visible' && this.#stream.checkLeader(), CHECK_MS);
    const onOnline = () => this.#stream.look();
    // The page comes from the back/forward cache, where it missed what other tabs sent.
    const onShow = ({ persisted }: PageTransitionEvent) => persisted && this.end();
    document.addEventListener('visibilitychange', onVisible);
    addEventListener('online', onOnline);
    addEventListener('pageshow', onShow);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', onVisible);
      removeEventListener('online', onOnline);
      removeEventListener('pageshow', onShow);
    };
  }

  /** Checks whether the viewer is still signed in; if not, the response ends the session. */
  async #checkViewer(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    await this.client.query(InboxCursorDocument, {}, { requestPolicy: 'network-only', ...ONCE });
    this.#checking = false;
  }

  /** Starts again if this tab has missed an event. */
  async #compare(): Promise<void> {
    const { data } = await this.client.query(InboxCursorDocument, {}, { requestPolicy: 'network-only' });
    if (!data || this.#over) return;
    clearTimeout(this.#missing);
    this.#missing = setTimeout(() => this.#stream.hasSeen(data.inboxCursor) || this.end(), MISSING_MS);
  }
}

/** With this header, the server rejects requests after another user has signed in in another tab. */
const speaksFor = (viewerId: string) => ({ 'messenger-viewer': viewerId });

const SessionContext = createContext<Session | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useSession must be used within a SessionProvider.');
  return session;
}
