/** The frame for a signed-in user: the list of conversations, and the page for the current path. */
import { useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';

import { useSession } from './client/session.ts';
import { useStore } from './client/store.ts';
import { ConversationDocument, type MessageFieldsFragment } from './generated/graphql.ts';
import { ConversationPage } from './pages/Conversation.tsx';
import { Home } from './pages/Home.tsx';
import { useNotifications } from './pages/notifications.ts';
import { Profile } from './pages/Profile.tsx';
import { useUnread } from './pages/unread.ts';
import { UpdateLine } from './pages/UpdateLine.tsx';
import { BrokenPage, ErrorBoundary } from './parts/ErrorBoundary.tsx';
import { StorageLine } from './parts/StorageLine.tsx';
import { useOnline, useSettled } from './parts/hooks.ts';
import { nameOf } from './parts/names.ts';
import { conversationIn, Link, usePath } from './parts/router.tsx';
import { isolated } from './parts/text.ts';

interface Props {
  hasSignedIn: boolean;
  onSignedOut: () => void;
}

export function Messenger({ hasSignedIn, onSignedOut }: Props) {
  const path = usePath();
  const conversation = conversationIn(path);
  const hasBeenElsewhere = useRef(hasSignedIn);
  useEffect(() => void (hasBeenElsewhere.current ||= path !== '/'), [path]);
  useTitle(path);
  useNotifications();
  return (
    <>
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <OfflineLine />
      <StorageLine />
      <UpdateLine />
      <main className="frame" data-shows={path === '/' ? 'list' : 'page'}>
        <ErrorBoundary instead={broken}>
          <Home open={conversation} takesFocus={path === '/' && hasBeenElsewhere.current} />
        </ErrorBoundary>
        <div className="page" id="page" tabIndex={-1}>
          <ErrorBoundary key={path} instead={broken}>
            {conversation !== undefined ? (
              <ConversationPage key={conversation} id={conversation} />
            ) : path === '/profile' ? (
              <Profile onSignedOut={onSignedOut} />
            ) : (
              <Nothing atHome={path === '/'} />
            )}
          </ErrorBoundary>
        </div>
      </main>
      <Announcements />
      <Rejections open={conversation} />
    </>
  );
}

const broken = (problem: string) => <BrokenPage problem={problem} />;

function Nothing({ atHome }: { atHome: boolean }) {
  return (
    <div className="notice">
      <h1>{atHome ? 'Choose a conversation' : 'Page not found'}</h1>
      <p>{atHome ? 'Or search for someone to chat with.' : <Link href="/">Go to your conversations</Link>}</p>
    </div>
  );
}

function OfflineLine() {
  const online = useOnline();
  const connected = useStore(useSession().connected);
  // Do not show the line while a server restarts.
  const away = useSettled(!online || !connected, 1500, (is) => !is || !online);
  return (
    <p className="offline" role="status">
      {away &&
        (online
          ? 'The server cannot be reached. Messages and changes will be sent when it responds again.'
          : 'You are offline. Messages and changes will be sent when you are back online.')}
    </p>
  );
}

/** Announces new messages to screen readers. The list itself is not a live region, because it loads history too. */
function Announcements() {
  const session = useSession();
  const [heard, setHeard] = useState<MessageFieldsFragment[]>([]);
  useEffect(
    () =>
      session.listen((event) => {
        if (event.__typename === 'MessageDeleted')
          setHeard((before) => before.filter(({ id }) => id !== event.message.id));
        else if (event.__typename === 'MessageUpdated')
          setHeard((before) => before.map((each) => (each.id === event.message.id ? event.message : each)));
        else if (event.__typename === 'MessageCreated' && !event.message.mine && !event.message.deletedAt)
          setHeard((before) => [...before.slice(-4), event.message]);
      }),
    [session],
  );
  return (
    <div className="visually-hidden" role="log" aria-label="New messages">
      {heard.map(({ id, author, content }) => (
        <p key={id}>
          <bdi>{nameOf(author)}</bdi>: <bdi>{content}</bdi>
        </p>
      ))}
    </div>
  );
}

/** Tells screen readers that something has been rejected that is not in the open conversation. */
function Rejections({ open }: { open: string | undefined }) {
  const { outbox, changes } = useSession();
  const pending = [...useStore(outbox.items), ...useStore(changes.items).values()];
  const isElsewhere = pending.some(({ state, conversationId }) => state === 'failed' && conversationId !== open);
  return (
    <p className="visually-hidden" role="status">
      {isElsewhere && 'A message or change has been rejected. Its conversation is marked in the list.'}
    </p>
  );
}

function useTitle(path: string): void {
  const unread = useUnread();
  const open = conversationIn(path);
  // urql deduplicates this query with that of the conversation's page.
  const [{ data }] = useQuery({
    query: ConversationDocument,
    variables: { id: open ?? '' },
    pause: open === undefined,
  });
  const conversation = data?.conversation?.id === open ? data?.conversation : undefined;
  const other = conversation?.otherParticipant;
  const name = other ? nameOf(other) : path === '/profile' ? 'Profile' : undefined;
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${name ? `${isolated(name)} · ` : ''}Messenger`;
  }, [unread, name]);
}
