/** The number of unread messages in all conversations, for the title. */
import { useEffect } from 'react';
import { useQuery } from 'urql';

import { type InboxEvent, type Session, useSession } from '../client/session.ts';
import { InboxDocument, UnreadDocument } from '../generated/graphql.ts';

/** Lets this tab mark a new message as read before it asks. */
const DELAY_MS = 200;
/** The time between two requests. */
const PAUSE_MS = 1000;

export function useUnread(): number {
  const session = useSession();
  const [{ data }] = useQuery({ query: InboxDocument });
  useEffect(() => afterEvents(session), [session]);
  return data?.unread.messages ?? 0;
}

/** Refetches the number after events that may have changed it, once for several; returns a function that stops it. */
function afterEvents(session: Session): () => void {
  let isDue = false;
  let isBusy = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let request: { unsubscribe(): void } | undefined;

  function ask(): void {
    isDue = false;
    request = session.client.query(UnreadDocument, {}, { requestPolicy: 'network-only' }).subscribe(() => {
      request?.unsubscribe();
      timer = setTimeout(() => (isDue ? ask() : (isBusy = false)), PAUSE_MS);
    });
  }

  const stopListening = session.listen((event) => {
    if (!changesUnread(event, session.viewer.id)) return;
    isDue = true;
    if (isBusy) return;
    isBusy = true;
    timer = setTimeout(ask, DELAY_MS);
  });
  return () => {
    stopListening();
    clearTimeout(timer);
    request?.unsubscribe();
  };
}

function changesUnread(event: InboxEvent, viewerId: string): boolean {
  switch (event.__typename) {
    case 'MessageCreated': // Sending a message also reads those before it.
    case 'MessageDeleted':
      return true;
    case 'ReadMarkMoved':
      return event.participant.user.id === viewerId;
    default:
      return false;
  }
}
