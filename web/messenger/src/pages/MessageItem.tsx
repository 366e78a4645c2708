import { memo, type MouseEvent, type ReactNode } from 'react';

import type { Change } from '../client/changes.ts';
import { useSession } from '../client/session.ts';
import type { Unconfirmed } from '../client/unsent.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';
import { ErrorBoundary } from '../parts/ErrorBoundary.tsx';
import { useHasLasted, useLongPress } from '../parts/hooks.ts';
import type { Point } from '../parts/Menu.tsx';
import { DeletedText, MessageText } from '../parts/MessageText.tsx';
import { isolated, previewOf } from '../parts/text.ts';
import { EditedAt, TimeOfDay } from '../parts/time.tsx';
import { withChange } from './pending.ts';
import { RejectedChange } from './RejectedChange.tsx';

/** A message or change that has been waiting for this long can be discarded. */
const TAKES_LONG_MS = 1500;

interface Props {
  message: MessageFieldsFragment;
  /** What the viewer has done to it, until the server has confirmed it. */
  change: Change | undefined;
  name: string;
  /** Whether the next message has another author. */
  endsTurn: boolean;
  /** Whether the time is visible; screen readers always announce it. */
  showsTime: boolean;
  mark: string | undefined;
  /** Whether its menu is open, or the user is editing it. */
  isChosen: boolean;
  /** Whether it is the one whose button Tab focuses; the arrow keys move between messages. */
  isTabStop: boolean;
  onMenu: (message: MessageFieldsFragment, at: Point) => void;
  onEditAgain: (messageId: string, text: string) => void;
}

export const MessageItem = memo(function MessageItem(props: Props) {
  const { message, change, name, endsTurn, showsTime, mark, isChosen, isTabStop, onMenu, onEditAgain } = props;
  const waiting = change?.state === 'waiting' ? change : undefined;
  const { content, deletedAt } = withChange(message, change);
  const isDeleted = deletedAt !== null;
  const hasMenu = hasActions(message) && !waiting;
  const { changes } = useSession();
  const takesLong = useHasLasted(waiting !== undefined, TAKES_LONG_MS);
  const longPress = useLongPress((at) => hasMenu && onMenu(message, at));

  function onContextMenu(event: MouseEvent<HTMLElement>) {
    // Leave links and selected text to the browser.
    if (!hasMenu || (event.target as Element).closest('a') || getSelection()?.toString()) return;
    event.preventDefault();
    onMenu(message, { x: event.clientX, y: event.clientY });
  }

  return (
    <li className="message" data-mine={message.mine} data-last={endsTurn} data-deleted={isDeleted} data-chosen={isChosen}>
      <Shown>
        <div className="body" data-menu={hasMenu} onContextMenu={onContextMenu} {...longPress}>
          <div className="bubble">
            <span className="visually-hidden">{message.mine ? 'You' : <bdi>{name}</bdi>}: </span>
            {isDeleted ? <DeletedText /> : <MessageText text={content} />}
          </div>
          {hasMenu && (
            <button
              type="button"
              className="actions"
              tabIndex={isTabStop ? 0 : -1}
              data-message={message.id}
              aria-haspopup="menu"
              aria-label={`Actions for your message: ${isolated(previewOf(message))}`}
              onClick={({ currentTarget }) => {
                const { left, bottom } = currentTarget.getBoundingClientRect();
                onMenu(message, { x: left, y: bottom });
              }}
            >
              <span aria-hidden="true">⋯</span>
            </button>
          )}
        </div>
        <p className="details">
          <TimeOfDay at={message.createdAt} className={showsTime || mark || waiting || message.editedAt ? undefined : 'visually-hidden'} />
          {waiting ? (
            <span> · {waiting.kind === 'edit' ? 'Saving…' : 'Deleting…'}</span>
          ) : (
            message.editedAt && !isDeleted && <EditedAt at={message.editedAt} />
          )}
          {mark && <span> · {mark}</span>}
          {takesLong && (
            <button type="button" onClick={() => changes.discard(message.id)}>
              Discard
            </button>
          )}
        </p>
        {change?.state === 'failed' && (
          <RejectedChange message={message} change={change} onEditAgain={onEditAgain} />
        )}
      </Shown>
    </li>
  );
});

/** Whether the viewer may do anything to the message. */
export const hasActions = ({ viewerCanEdit, viewerCanDelete }: MessageFieldsFragment) =>
  viewerCanEdit || viewerCanDelete;

/** Contains rendering errors of a single message. */
function Shown({ children }: { children: ReactNode }) {
  return (
    <ErrorBoundary instead={() => <p className="details problem">This message cannot be shown.</p>}>
      {children}
    </ErrorBoundary>
  );
}

/** A message of the viewer whose event has not arrived yet. */
export function UnconfirmedItem({ item: { key, content, createdAt, state, problem } }: { item: Unconfirmed }) {
  const { outbox } = useSession();
  const takesLong = useHasLasted(state === 'waiting', TAKES_LONG_MS);
  return (
    <li className="message" data-mine="true" data-last="true" data-state={state}>
      <Shown>
        <div className="body">
          <div className="bubble">
            <span className="visually-hidden">You: </span>
            <MessageText text={content} />
          </div>
        </div>
      </Shown>
      {state === 'failed' ? (
        <p className="details" role="alert">
          <span className="problem">Not sent: {problem}</span>
          <button type="button" onClick={() => outbox.retry(key)}>
            Try again
          </button>
          <button type="button" onClick={() => outbox.discard(key)}>
            Discard
          </button>
        </p>
      ) : (
        <p className="details">
          <TimeOfDay at={createdAt} /> · {state === 'waiting' ? 'Sending…' : 'Sent'}
          {takesLong && (
            <button type="button" onClick={() => outbox.discard(key)}>
              Discard
            </button>
          )}
        </p>
      )}
    </li>
  );
}
