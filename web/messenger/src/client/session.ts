/** Somebody signed in, from the first query to the last event. */
import type { Client } from '@urql/core';
import { createContext, useContext } from 'react';

import {
  InboxDocument,
  MessageCreatedDocument,
  type MessageCreatedSubscription,
  UnreadDocument,
  type UserFieldsFragment,
} from '../generated/graphql.ts';
import { Drafts } from './drafts.ts';
import { hasCode, isTemporary, makeClient, messageOf, ONCE } from './graphql.ts';
import { newKey } from './keys.ts';
import { askBeforeLeaving } from './leaving.ts';
import { Outbox } from './outbox.ts';
import { SharedStream } from './shared-stream.ts';
import { hearTabs, sayToTabs } from './tabs.ts';

export type Arrived = MessageCreatedSubscription['messageCreated']['message'];

/** Long enough away for what other devices have read to be asked for. */
const AWAY_MS = 20_000;
/** How often a tab that somebody looks at makes sure of the one that has the stream. */
const CHECK_MS = 5000;

/** The result of a start. `isTemporary`: the same may well succeed in a moment. */
export type Start =
  | { kind: 'signed in' }
  | { kind: 'signed out' }
  | { kind: 'failed'; problem: string; isTemporary: boolean };

export class Session {
  readonly id = newKey();
  readonly client: Client;
  readonly #stream = new SharedStream();
  readonly #ends: (() => void)[] = [];
  readonly #listeners = new Set<(message: Arrived) => void>();
  readonly #onOver: () => void;
  #outbox: Outbox | undefined;
  #drafts: Drafts | undefined;
  #viewer: UserFieldsFragment | undefined;
  /** How often events or marks have changed what is unread: an answer from before the last of them may be outdated. */
  changes = 0;
  #over = false;
  #checking = false;

  /** `onOver` is called once, when this is no longer right: begin another. */
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
  }

  get viewer(): UserFieldsFragment {
    if (!this.#viewer) throw new Error('Nobody is signed in.');
    return this.#viewer;
  }

  get outbox(): Outbox {
    if (!this.#outbox) throw new Error('Nobody is signed in.');
    return this.#outbox;
  }

  /** What was begun in each conversation and not sent. */
  get drafts(): Drafts {
    if (!this.#drafts) throw new Error('Nobody is signed in.');
    return this.#drafts;
  }

  get connected() {
    return this.#stream.connected;
  }

  /** Finds out who is signed in; if there is a viewer, everything runs. */
  async start(): Promise<Start> {
    const { data, error } = await this.client.query(InboxDocument, {}, { requestPolicy: 'network-only', ...ONCE });
    const isSignedOut = hasCode(error, 'UNAUTHENTICATED') || (!error && data?.viewer === null);
    if (!isSignedOut && (error || !data?.viewer)) {
      const problem = error ? messageOf(error) : 'The server gave an answer without data.';
      return { kind: 'failed', problem, isTemporary: !error || isTemporary(error) };
    }
    if (this.#over) return { kind: 'signed out' };
    sayToTabs({ kind: 'viewer', id: data?.viewer?.id ?? null });
    if (isSignedOut || !data?.viewer) return { kind: 'signed out' };
    this.#viewer = data.viewer;
    this.#drafts = new Drafts(data.viewer.id);
    const outbox = (this.#outbox = new Outbox(this.client, data.viewer.id));
    const listening = this.client
      .subscription(MessageCreatedDocument, { after: data.inboxCursor })
      .subscribe(({ data: event, error, hasNext }) => {
        // An expired cursor, say: everything is fetched anew.
        if (error || !hasNext) this.end();
        else if (event) this.#arrived(event.messageCreated.message);
      });
    this.#ends.push(
      () => listening.unsubscribe(),
      askBeforeLeaving(outbox.items),
      this.connected.watch(() => this.connected.get() && outbox.wake()),
      hearTabs((said) => {
        if (said.kind === 'viewer' && said.id !== this.viewer.id) this.end();
        if (said.kind === 'read')
          void this.client
            .query(UnreadDocument, { id: said.conversationId }, { requestPolicy: 'network-only' })
            .toPromise();
      }),
      this.#watchReturns(),
    );
    return { kind: 'signed in' };
  }

  /** Calls the listener with each message that comes, the viewer's own too, after the cache has it. */
  listen(listener: (message: Arrived) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends it; whoever began it is told, so as to begin another. */
  end(): void {
    if (this.#over) return;
    this.close();
    this.#onOver();
  }

  close(): void {
    this.#over = true;
    for (const end of this.#ends.splice(0)) end();
    this.#outbox?.close();
    this.#stream.close();
  }

  #arrived(message: Arrived): void {
    this.changes++;
    if (message.idempotencyKey) this.outbox.confirm(message.idempotencyKey, message.id);
    for (const listener of [...this.#listeners]) listener(message);
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
    // Out of the browser's back/forward cache, where other tabs were not heard.
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

  /** Asks whether the viewer is still signed in; if not, the answer ends the session. */
  async #checkViewer(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    await this.client.query(InboxDocument, {}, { requestPolicy: 'network-only', ...ONCE });
    this.#checking = false;
  }

  /** Fetches what another device may have read, and makes sure that no event is missing here. */
  async #compare(): Promise<void> {
    const before = this.changes;
    const { data } = await this.client.query(InboxDocument, {}, { requestPolicy: 'network-only' });
    if (!data || this.#over) return;
    // An event came meanwhile, and the answer may be older than that.
    if (before !== this.changes) return this.#compare();
    const end = data.inboxCursor;
    const timer = setTimeout(() => this.#stream.hasSeen(end) || this.end(), 10_000);
    this.#ends.push(() => clearTimeout(timer));
  }
}

/** The server rejects a request whose cookie is another user's by now, who has signed in in another tab. */
const speaksFor = (viewerId: string) => ({ 'messenger-viewer': viewerId });

const SessionContext = createContext<Session | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('There is no session here.');
  return session;
}
