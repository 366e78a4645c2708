/** The number of unread messages. There is no event when another device reads, so this polls. */
import { formatDocument } from '@urql/core';
import { useEffect, useRef, useState } from 'react';

import { withoutCache } from '../client/graphql.ts';
import { type Session, useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { UnreadCountsDocument, UnreadFurtherDocument } from '../generated/graphql.ts';
import { useVisible } from '../parts/hooks.ts';
import { useConversations } from './Home.tsx';

const POLL_MS = 10_000;
/** Groups events that follow each other, and lets this tab mark a message as read before it asks. */
const DEBOUNCE_MS = 1000;
const MAX_IDS = 100;
const MAX_ATTEMPTS = 5;

/** The number of unread messages for the title: `25+` for at least 25, and empty for none. */
export function useUnread(): string {
  const session = useSession();
  const { conversations, next } = useConversations();
  const connected = useStore(session.connected);
  const inSight = useVisible() && connected;
  const [further, setFurther] = useState<Further>();

  const loaded = new Set(conversations.map(({ id }) => id));
  const unread = conversations.filter(({ unreadCount }) => unreadCount > 0);
  const beyond = next ? sum(further?.counts.filter(({ id }) => !loaded.has(id)) ?? []) : 0;
  const total = sum(unread) + beyond;

  const latest = useRef<string[]>([]);
  useEffect(() => void (latest.current = unread.slice(0, MAX_IDS).map(({ id }) => id)));
  const asksLoaded = inSight && unread.length > 0;
  useEffect(
    () => (asksLoaded ? whileInSight(session, () => askAgain(session, latest.current)) : undefined),
    [session, asksLoaded],
  );

  const asksFurther = inSight && next !== undefined && (further === undefined || beyond > 0);
  useEffect(
    () =>
      asksFurther
        ? whileInSight(session, async () => {
            const found = await askFurther(session);
            if (found) setFurther(found);
          })
        : undefined,
    [session, asksFurther],
  );

  const more = next !== undefined && (further?.more ?? true);
  return total === 0 ? '' : `${total}${more ? '+' : ''}`;
}

interface Counted {
  id: string;
  unreadCount: number;
}

interface Further {
  counts: Counted[];
  more: boolean;
}

const sum = (counts: Counted[]) => counts.reduce((total, { unreadCount }) => total + unreadCount, 0);

/** Calls `ask` now, on focus, after events and periodically, never concurrently; returns a function that stops it. */
function whileInSight(session: Session, ask: () => Promise<void>): () => void {
  let asking = false;
  let soon: ReturnType<typeof setTimeout> | undefined;
  const askSoon = () => {
    soon ??= setTimeout(() => {
      soon = undefined;
      if (asking) return;
      asking = true;
      void ask().finally(() => (asking = false));
    }, DEBOUNCE_MS);
  };
  askSoon();
  const timer = setInterval(askSoon, POLL_MS - DEBOUNCE_MS);
  const stopListening = session.listen(askSoon);
  addEventListener('focus', askSoon);
  return () => {
    clearTimeout(soon);
    clearInterval(timer);
    stopListening();
    removeEventListener('focus', askSoon);
  };
}

/** Fetches the counts of these conversations into the cache. */
async function askAgain(session: Session, ids: string[]): Promise<void> {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
    const before = session.changes;
    await session.client.query(UnreadCountsDocument, { ids }, { requestPolicy: 'network-only' });
    // If something has changed in the meantime, the response may be outdated.
    if (before === session.changes) return;
  }
}

/** Fetches the counts of conversations that are not loaded, without adding these to the cache and so to the list. */
async function askFurther({ client }: Session): Promise<Further | undefined> {
  const { data } = await withoutCache(client).query(formatDocument(UnreadFurtherDocument), {});
  if (!data) return undefined;
  const counts = data.conversations.edges.map(({ node }) => node);
  // If the last conversation is read, older ones are assumed to be read too.
  return { counts, more: data.conversations.pageInfo.hasNextPage && (counts.at(-1)?.unreadCount ?? 0) > 0 };
}
