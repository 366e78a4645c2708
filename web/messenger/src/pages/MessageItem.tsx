import { memo, type ReactNode } from 'react';

import { useSession } from '../client/session.ts';
import type { Unconfirmed } from '../client/unsent.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';
import { ErrorBoundary } from '../parts/ErrorBoundary.tsx';
import { useHasLasted } from '../parts/hooks.ts';
import { DeletedText, MessageText } from '../parts/MessageText.tsx';
import { TimeOfDay } from '../parts/time.tsx';

/** A message that has been waiting for this long can be discarded. */
const TAKES_LONG_MS = 1500;

interface Props {
  message: MessageFieldsFragment;
  name: string;
  /** Whether the next message has another author. */
  endsTurn: boolean;
  /** Whether the time is visible; screen readers always announce it. */
  showsTime: boolean;
  mark: string | undefined;
}

export const MessageItem = memo(function MessageItem({ message, name, endsTurn, showsTime, mark }: Props) {
  return (
    <li className="message" data-mine={message.mine} data-last={endsTurn}>
      <Shown>
        <div className="bubble">
          <span className="visually-hidden">{message.mine ? 'You' : <bdi>{name}</bdi>}: </span>
          {message.deletedAt ? <DeletedText /> : <MessageText text={message.content} />}
        </div>
        <p className="details">
          <TimeOfDay at={message.createdAt} className={showsTime || mark ? undefined : 'visually-hidden'} />
          {mark && <span> · {mark}</span>}
        </p>
      </Shown>
    </li>
  );
});

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
        <div className="bubble">
          <span className="visually-hidden">You: </span>
          <MessageText text={content} />
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
