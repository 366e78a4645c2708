/** Marks what the viewer sees as read. */
import { useEffect, useRef } from 'react';
import { useClient } from 'urql';

import { isTemporary } from '../client/graphql.ts';
import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { backOff } from '../client/waiting.ts';
import { type MessageFieldsFragment, ReadMessagesDocument } from '../generated/graphql.ts';
import { useAttended } from '../parts/attention.ts';
import type { OpenConversation } from './Conversation.tsx';

export function useReading(
  { id, unreadCount }: OpenConversation,
  messages: MessageFieldsFragment[],
  atEnd: boolean,
): void {
  const client = useClient();
  const connected = useStore(useSession().connected);
  const inSight = useAttended() && atEnd;
  const hasUnread = unreadCount > 0;
  const newest = messages.at(-1)?.id;
  const marked = useRef<string>(undefined);
  useEffect(() => {
    if (!inSight || !hasUnread || newest === undefined || marked.current === newest) return undefined;
    const stopped = new AbortController();
    async function mark(upToMessageId: string) {
      for (let failures = 1; !stopped.signal.aborted; failures++) {
        const { error } = await client.mutation(ReadMessagesDocument, { input: { conversationId: id, upToMessageId } });
        if (!error) marked.current = upToMessageId;
        if (!error || !isTemporary(error)) return;
        await backOff(failures, stopped.signal);
      }
    }
    void mark(newest);
    return () => stopped.abort();
    // When the connection is back, it tries again immediately.
  }, [id, hasUnread, newest, inSight, connected]);
}
