import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useClient } from 'urql';

import type { Unconfirmed } from '../client/unsent.ts';
import { ConversationDocument, type MessageFieldsFragment } from '../generated/graphql.ts';
import { LoadMore } from '../parts/LoadMore.tsx';
import { dayName } from '../parts/time.tsx';
import { MessageItem, UnconfirmedItem } from './MessageItem.tsx';
import type { OpenConversation } from './Conversation.tsx';
import { useReading } from './reading.ts';

interface Props {
  conversation: OpenConversation;
  messages: MessageFieldsFragment[];
  unconfirmed: Unconfirmed[];
  name: string;
}

/** How far from its end a list counts as being at its end, in pixels. */
const CLOSE = 60;
/** Messages that follow one another within this time show it once, at the last of them. */
const SOON_MS = 5 * 60_000;

export function Messages({ conversation, messages, unconfirmed, name }: Props) {
  const { hasPreviousPage, startCursor } = conversation.messages.pageInfo;
  const client = useClient();
  const count = messages.length + unconfirmed.length;
  const { scroller, atEnd, toEnd } = useScrolling(messages[0]?.id);
  useReading(conversation, messages, atEnd);

  const lastRead = messages.findLast(({ readByOthers }) => readByOthers)?.id;

  // What one sends is seen, wherever one was.
  const writtenAt = unconfirmed.at(-1)?.createdAt ?? '';
  const seenAt = useRef('');
  useLayoutEffect(() => {
    if (writtenAt <= seenAt.current) return;
    seenAt.current = writtenAt;
    toEnd();
  }, [writtenAt]);

  return (
    <div className="messages">
      <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label={`Messages with ${name}`}>
        {hasPreviousPage && startCursor && (
          <LoadMore
            key={startCursor}
            margin="800px"
            load={() =>
              client.query(ConversationDocument, { id: conversation.id, before: startCursor }).toPromise()
            }
          />
        )}
        {count === 0 && <p className="empty">Nothing has been written yet. Say hello to {name}.</p>}
        {byDay(messages).map((day) => (
          <Day key={day.date} messages={day.messages} name={name} lastRead={lastRead} />
        ))}
        {unconfirmed.length > 0 && (
          <ol aria-label="Not confirmed yet">
            {unconfirmed.map((item) => (
              <UnconfirmedItem key={item.key} item={item} />
            ))}
          </ol>
        )}
      </div>
      {!atEnd && (
        <button type="button" className="to-end" onClick={toEnd}>
          {conversation.unreadCount > 0 ? `${conversation.unreadCount} new` : 'Newest'}
          <span aria-hidden="true"> ↓</span>
        </button>
      )}
    </div>
  );
}

interface DayProps {
  messages: MessageFieldsFragment[];
  name: string;
  lastRead: string | undefined;
}

function Day({ messages, name, lastRead }: DayProps) {
  const [first] = messages;
  return (
    <section className="day">
      <h2>{first && dayName(new Date(first.createdAt))}</h2>
      <ol>
        {messages.map((message, index) => (
          <MessageItem
            key={message.id}
            message={message}
            name={name}
            endsTurn={messages[index + 1]?.author.id !== message.author.id}
            showsTime={!isSoonAfter(message, messages[index + 1])}
            mark={message.id === lastRead ? 'Read' : undefined}
          />
        ))}
      </ol>
    </section>
  );
}

function isSoonAfter(message: MessageFieldsFragment, next: MessageFieldsFragment | undefined): boolean {
  return next !== undefined && Date.parse(next.createdAt) - Date.parse(message.createdAt) < SOON_MS;
}

/** Groups them by their date in the reader's zone. */
function byDay(messages: MessageFieldsFragment[]): { date: string; messages: MessageFieldsFragment[] }[] {
  const days: { date: string; messages: MessageFieldsFragment[] }[] = [];
  for (const message of messages) {
    const date = new Date(message.createdAt).toDateString();
    const day = days.at(-1);
    if (day?.date === date) day.messages.push(message);
    else days.push({ date, messages: [message] });
  }
  return days;
}

/** Keeps what one looks at in its place: the end at the end, and the rest while earlier messages come above it. */
function useScrolling(first: string | undefined) {
  const scroller = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const stays = useRef(true);
  const before = useRef({ first, height: 0 });

  function toEnd() {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  }

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    if (stays.current) toEnd();
    else if (before.current.first !== first) element.scrollTop += element.scrollHeight - before.current.height;
    before.current = { first, height: element.scrollHeight };
  });

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const onScroll = () => {
      stays.current = element.scrollHeight - element.scrollTop - element.clientHeight < CLOSE;
      setAtEnd(stays.current);
    };
    // A keyboard that opens or a window that changes does not move the end away.
    const observer = new ResizeObserver(() => {
      if (stays.current) toEnd();
      before.current.height = element.scrollHeight;
    });
    element.addEventListener('scroll', onScroll, { passive: true });
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', onScroll);
      observer.disconnect();
    };
  }, []);

  return { scroller, atEnd, toEnd };
}
