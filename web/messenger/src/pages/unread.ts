/** What is unread altogether, and what other devices have read meanwhile: there is no event for that. */
import { formatDocument } from '@urql/core';
import { useEffect, useRef, useState } from 'react';

import { withoutCache } from '../client/graphql.ts';
import { type Session, useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { UnreadCountsDocument, UnreadFurtherDocument } from '../generated/graphql.ts';
import { useVisible } from '../parts/hooks.ts';
import { useConversations } from './Home.tsx';

const ASK_EVERY_MS = 10_000;
/** Several events in a row are one reason to ask; and what is read at once here is no reason. */
const SETTLES_MS = 1000;
const ASKED_AT_ONCE = 100;
const ASKS_AT_MOST = 5;

/** How many messages are unread, as the title shows it: `25+` for at least so many; empty for none. */
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
  useEffect(() => void (latest.current = unread.slice(0, ASKED_AT_ONCE).map(({ id }) => id)));
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

/** Asks now, on focus, after events and from time to time, one at a time, until what is returned is called. */
function whileInSight(session: Session, ask: () => Promise<void>): () => void {
  let asking = false;
  let soon: ReturnType<typeof setTimeout> | undefined;
  const askSoon = () => {
    soon ??= setTimeout(() => {
      soon = undefined;
      if (asking) return;
      asking = true;
      void ask().finally(() => (asking = false));
    }, SETTLES_MS);
  };
  askSoon();
  const timer = setInterval(askSoon, ASK_EVERY_MS - SETTLES_MS);
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
  for (let asked = 0; asked < ASKS_AT_MOST; asked++) {
    const before = session.changes;
    await session.client.query(UnreadCountsDocument, { ids }, { requestPolicy: 'network-only' });
    // Unless something has changed meanwhile: the answer may be older than that.
    if (before === session.changes) return;
  }
}

/** Fetches the counts of conversations that are not loaded; they stay out of the list, and so out of the cache. */
async function askFurther({ client }: Session): Promise<Further | undefined> {
  const { data } = await withoutCache(client).query(formatDocument(UnreadFurtherDocument), {});
  if (!data) return undefined;
  const counts = data.conversations.edges.map(({ node }) => node);
  // Where the last is read, those from before it are taken for read too.
  return { counts, more: data.conversations.pageInfo.hasNextPage && (counts.at(-1)?.unreadCount ?? 0) > 0 };
}
