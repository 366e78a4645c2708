import { type KeyboardEvent, useCallback, useLayoutEffect, useRef, useState } from 'react';
import { useClient } from 'urql';

import type { Change } from '../client/changes.ts';
import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import type { Unconfirmed } from '../client/unsent.ts';
import { ConversationDocument, type MessageFieldsFragment } from '../generated/graphql.ts';
import { useFocusIn } from '../parts/focus.ts';
import { LoadMore } from '../parts/LoadMore.tsx';
import { isolated } from '../parts/text.ts';
import { DayName } from '../parts/time.tsx';
import { hasActions, MessageItem, UnconfirmedItem } from './MessageItem.tsx';
import { MessageMenu, type OpenMenu } from './MessageMenu.tsx';
import type { OpenConversation } from './Conversation.tsx';
import { useReading } from './reading.ts';
import { useScrolling } from './scrolling.ts';

interface Props {
  conversation: OpenConversation;
  messages: MessageFieldsFragment[];
  unconfirmed: Unconfirmed[];
  name: string;
  /** The ID of the message that the user is editing. */
  editedId: string | undefined;
  /** Starts to edit a message; the same function at every rendering. */
  onEdit: (messageId: string, text: string) => void;
}

/** Messages that follow each other within this time show the time only on the last of them. */
const SOON_MS = 5 * 60_000;

export function Messages({ conversation, messages, unconfirmed, name, editedId, onEdit }: Props) {
  const { hasPreviousPage, startCursor } = conversation.messages.pageInfo;
  const client = useClient();
  const count = messages.length + unconfirmed.length;
  const changes = useStore(useSession().changes.items);
  const { scroller, atEnd, toEnd } = useScrolling(
    messages.map(({ id }) => id),
    hasPreviousPage,
  );
  const [menu, setMenu] = useState<OpenMenu>();
  const openMenu = useCallback<DayProps['onMenu']>(
    ({ id }, at) => setMenu((before) => ({ messageId: id, at, number: (before?.number ?? 0) + 1 })),
    [],
  );
  const inMenu = messages.find(({ id }) => id === menu?.messageId);
  const [tabStop, setTabStop] = useState<string>();
  const withMenu = messages.filter((message) => hasActions(message) && changes.get(message.id)?.state !== 'waiting');
  const reachedByTab = withMenu.find(({ id }) => id === tabStop)?.id ?? withMenu.at(-1)?.id;
  useReading(conversation, messages, atEnd);
  const aroundFocus = useFocusIn<HTMLDivElement>(scroller);

  const lastRead = messages.findLast(({ readByOthers }) => readByOthers)?.id;

  // Sending a message scrolls to it from anywhere.
  const newest = unconfirmed.at(-1)?.key;
  const shown = useRef(new Set(unconfirmed.map(({ key }) => key)));
  useLayoutEffect(() => {
    if (newest === undefined || shown.current.has(newest)) return;
    shown.current.add(newest);
    toEnd();
  }, [newest]);

  return (
    <div className="messages" {...aroundFocus}>
      <div
        className="scroller"
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label={`Messages with ${isolated(name)}`}
        onKeyDown={moveBetweenMessages}
        onFocus={({ target }) => target.dataset['message'] && setTabStop(target.dataset['message'])}
      >
        {hasPreviousPage && startCursor && (
          <LoadMore
            key={startCursor}
            margin="800px"
            load={() =>
              client.query(ConversationDocument, { id: conversation.id, before: startCursor }).toPromise()
            }
          />
        )}
        {count === 0 && <p className="empty">No messages yet. Say hello to <bdi>{name}</bdi>.</p>}
        {byDay(messages).map((day) => (
          <Day
            key={day.key}
            messages={day.messages}
            changes={changes}
            name={name}
            lastRead={lastRead}
            chosen={[menu?.messageId, editedId]}
            tabStop={reachedByTab}
            onMenu={openMenu}
            onEditAgain={onEdit}
          />
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
      {menu && inMenu && hasActions(inMenu) && (
        <MessageMenu
          // The browser may report that the dialog before has been closed when this one is already open.
          key={menu.number}
          conversationId={conversation.id}
          message={inMenu}
          at={menu.at}
          onEdit={() => onEdit(inMenu.id, inMenu.content)}
          onClose={() => setMenu(undefined)}
        />
      )}
    </div>
  );
}

/** Moves the focus between the buttons of the messages. */
function moveBetweenMessages(event: KeyboardEvent<HTMLElement>): void {
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>('.actions')];
  const current = buttons.indexOf(event.target as HTMLElement);
  if (current < 0) return;
  const places: Record<string, number> = { ArrowUp: current - 1, ArrowDown: current + 1, Home: 0, End: buttons.length - 1 };
  const next = places[event.key];
  if (next === undefined) return;
  event.preventDefault();
  buttons[next]?.focus();
}

interface DayProps extends Pick<Parameters<typeof MessageItem>[0], 'onMenu' | 'onEditAgain'> {
  messages: MessageFieldsFragment[];
  changes: ReadonlyMap<string, Change>;
  name: string;
  lastRead: string | undefined;
  /** The IDs of the messages whose menu is open, and that is edited. */
  chosen: (string | undefined)[];
  tabStop: string | undefined;
}

function Day({ messages, changes, name, lastRead, chosen, tabStop, onMenu, onEditAgain }: DayProps) {
  const [first] = messages;
  return (
    <section className="day">
      <h2>{first && <DayName of={first.createdAt} />}</h2>
      <ol>
        {messages.map((message, index) => (
          <MessageItem
            key={message.id}
            message={message}
            change={changes.get(message.id)}
            name={name}
            endsTurn={messages[index + 1]?.author.id !== message.author.id}
            showsTime={!isSoonAfter(message, messages[index + 1])}
            mark={message.id === lastRead ? 'Read' : undefined}
            isChosen={chosen.includes(message.id)}
            isTabStop={message.id === tabStop}
            onMenu={onMenu}
            onEditAgain={onEditAgain}
          />
        ))}
      </ol>
    </section>
  );
}

function isSoonAfter(message: MessageFieldsFragment, next: MessageFieldsFragment | undefined): boolean {
  // The next message may be older if the server's clock was set back.
  return next !== undefined && Math.abs(Date.parse(next.createdAt) - Date.parse(message.createdAt)) < SOON_MS;
}

interface DayOfMessages {
  key: string;
  date: string;
  messages: MessageFieldsFragment[];
}

/** Groups messages by date in the user's time zone. A date may appear twice if the server's clock was set back. */
function byDay(messages: MessageFieldsFragment[]): DayOfMessages[] {
  const days: DayOfMessages[] = [];
  const times = new Map<string, number>();
  for (const message of messages) {
    const date = new Date(message.createdAt).toDateString();
    const day = days.at(-1);
    if (day?.date === date) day.messages.push(message);
    else {
      const time = (times.get(date) ?? 0) + 1;
      times.set(date, time);
      days.push({ key: `${date} ${time}`, date, messages: [message] });
    }
  }
  return days;
}
