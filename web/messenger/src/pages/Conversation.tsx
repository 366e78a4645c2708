/** One conversation: its messages, including unconfirmed ones, and the composer. */
import { useEffect, useRef } from 'react';
import { useQuery } from 'urql';

import { messageOf } from '../client/graphql.ts';
import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { ConversationDocument, type ConversationQuery } from '../generated/graphql.ts';
import { Avatar } from '../parts/Avatar.tsx';
import { hasKeyboard } from '../parts/hooks.ts';
import { titleOf } from '../parts/names.ts';
import { conversationIn, Link, watchNavigation } from '../parts/router.tsx';
import { Composer } from './Composer.tsx';
import { useEditing } from './editing.ts';
import { Messages } from './Messages.tsx';
import { RemovedUserLine } from './RemovedUserLine.tsx';

export type OpenConversation = NonNullable<ConversationQuery['conversation']>;

export function ConversationPage({ id }: { id: string }) {
  const [{ data, error }] = useQuery({ query: ConversationDocument, variables: { id } });
  const conversation = data?.conversation;
  if (conversation) return <Talk conversation={conversation} />;
  if (data || error)
    return (
      <div className="notice">
        <h1>{data ? 'Conversation not found' : 'This conversation cannot be shown'}</h1>
        <p>{error && messageOf(error)}</p>
        <p>
          <Link href="/">Go to your conversations</Link>
        </p>
      </div>
    );
  return (
    <div className="notice" aria-busy="true">
      <h1 className="visually-hidden">Conversation</h1>
      <p role="status">Loading…</p>
    </div>
  );
}

function Talk({ conversation }: { conversation: OpenConversation }) {
  const { outbox, changes } = useSession();
  const other = conversation.otherParticipant;
  const name = titleOf(other);
  const nodes = conversation.messages.edges.map(({ node }) => node);
  const stored = new Set(nodes.map(({ id }) => id));
  const unconfirmed = useStore(outbox.items).filter(
    ({ conversationId, messageId }) =>
      conversationId === conversation.id && (messageId === undefined || !stored.has(messageId)),
  );

  const changed = useStore(changes.items);
  const { editing, begin, type, cancel, save } = useEditing(conversation.id, nodes);
  const lastOwn = nodes.findLast(({ mine, deletedAt }) => mine && !deletedAt);

  /** Edits the viewer's last message, unless the server has not confirmed it or what the viewer has done to it. */
  function editLast() {
    if (lastOwn?.viewerCanEdit && !changed.has(lastOwn.id) && unconfirmed.length === 0)
      begin(lastOwn.id, lastOwn.content);
  }

  // The viewer's own messages can still be edited.
  const isClosed = other !== null && other.removedAt !== null && !editing;

  // With a keyboard, users can write immediately; otherwise, screen readers announce the heading.
  const heading = useRef<HTMLHeadingElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const enter = () => ((hasKeyboard() && field.current) || heading.current)?.focus({ preventScroll: true });
    enter();
    // The user may choose the conversation that is already open.
    return watchNavigation(() => conversationIn(location.pathname) === conversation.id && enter());
  }, [conversation.id]);
  // The field had the focus, and has disappeared.
  useEffect(() => {
    if (isClosed && document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, [isClosed]);

  return (
    <article className="talk" aria-labelledby="talk-name">
      <header className="bar">
        <Link className="back" href="/" aria-label="Back to the conversations">
          <span aria-hidden="true">‹</span>
        </Link>
        <Avatar user={other} />
        <h1 id="talk-name" ref={heading} tabIndex={-1} dir="auto">
          {name}
        </h1>
      </header>
      <Messages
        conversation={conversation}
        messages={nodes}
        unconfirmed={unconfirmed}
        name={name}
        editedId={editing?.messageId}
        onEdit={begin}
      />
      {isClosed ? (
        <RemovedUserLine conversationId={conversation.id} />
      ) : (
        <Composer
          field={field}
          conversationId={conversation.id}
          name={name}
          send={(text) => outbox.add(conversation.id, text)}
          editing={editing}
          onEdit={type}
          onSave={save}
          onCancel={cancel}
          onEditLast={editLast}
        />
      )}
    </article>
  );
}
