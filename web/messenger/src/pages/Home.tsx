/** The list of conversations, newest first, and the search that starts one. */
import { useEffect, useRef } from 'react';
import { useClient, useQuery } from 'urql';

import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import {
  type ConversationFieldsFragment,
  InboxDocument,
  MoreConversationsDocument,
} from '../generated/graphql.ts';
import { Avatar } from '../parts/Avatar.tsx';
import { ErrorBoundary } from '../parts/ErrorBoundary.tsx';
import { LoadMore } from '../parts/LoadMore.tsx';
import { titleOf } from '../parts/names.ts';
import { conversationPath, Link } from '../parts/router.tsx';
import { isolated, previewOf } from '../parts/text.ts';
import { ShortTime } from '../parts/time.tsx';
import { rejectedIn, withChange } from './pending.ts';
import { Search } from './Search.tsx';

interface Props {
  /** The ID of the open conversation. */
  open: string | undefined;
  /** Whether to focus the heading, after signing in or returning from a page. */
  takesFocus: boolean;
}

export function Home({ open, takesFocus }: Props) {
  const { conversations, next } = useConversations();
  const viewer = useViewer();
  const client = useClient();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => void (takesFocus && heading.current?.focus()), [takesFocus]);
  return (
    <section className="side" aria-label="Conversations">
      <header className="bar">
        <h1 ref={heading} tabIndex={-1}>
          Messenger
        </h1>
        <Link className="me" href="/profile" aria-label={`Profile of ${isolated(viewer.username)}`}>
          <Avatar user={viewer} />
        </Link>
      </header>
      <Search />
      <div className="scroller" tabIndex={-1}>
        {conversations.length === 0 ? (
          <p className="empty">You have no conversations yet. Search for someone to start one.</p>
        ) : (
          <ul>
            {conversations.map((conversation) => (
              <li key={conversation.id}>
                <ErrorBoundary instead={() => <p className="empty">This conversation cannot be shown.</p>}>
                  <Row conversation={conversation} current={conversation.id === open} />
                </ErrorBoundary>
              </li>
            ))}
          </ul>
        )}
        {next && (
          <LoadMore
            key={next}
            margin="400px"
            load={() => client.query(MoreConversationsDocument, { after: next }).toPromise()}
          />
        )}
      </div>
    </section>
  );
}

function Row({ conversation, current }: { conversation: ConversationFieldsFragment; current: boolean }) {
  const { id, otherParticipant, lastMessage, unreadCount } = conversation;
  const session = useSession();
  const changes = useStore(session.changes.items);
  const rejected = rejectedIn(id, useStore(session.outbox.items), changes);
  return (
    <Link className="conversation" href={conversationPath(id)} aria-current={current ? 'page' : undefined}>
      <Avatar user={otherParticipant} />
      <span className="name" dir="auto">
        {titleOf(otherParticipant)}
      </span>
      {lastMessage && <ShortTime at={lastMessage.createdAt} />}
      <span className="preview" dir="auto">
        {rejected ? (
          <>
            <span className="problem">{rejected.problem}</span> <bdi>{rejected.text}</bdi>
          </>
        ) : (
          lastMessage && (
            <>
              {lastMessage.mine && 'You: '}
              <bdi>{previewOf(withChange(lastMessage, changes.get(lastMessage.id)))}</bdi>
            </>
          )
        )}
      </span>
      {unreadCount > 0 && (
        <span className="unread">
          {unreadCount}
          <span className="visually-hidden"> unread</span>
        </span>
      )}
    </Link>
  );
}

/** The loaded conversations, in the server's order, and the cursor of the next page if there is one. */
export function useConversations(): { conversations: ConversationFieldsFragment[]; next: string | undefined } {
  const [{ data }] = useQuery({ query: InboxDocument });
  const page = data?.conversations.pageInfo;
  return {
    conversations: data?.conversations.edges.map(({ node }) => node) ?? [],
    next: (page?.hasNextPage && page.endCursor) || undefined,
  };
}

/** The signed-in user, with their current name and picture. */
export function useViewer() {
  const session = useSession();
  const [{ data }] = useQuery({ query: InboxDocument });
  return data?.viewer ?? session.viewer;
}
