/** Marks what the viewer sees as read. */
import { useEffect, useRef } from 'react';
import { useClient } from 'urql';

import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
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
  const newest = messages.at(-1)?.id;
  const marked = useRef<string>(undefined);
  useEffect(() => {
    if (!inSight || unreadCount === 0 || newest === undefined || marked.current === newest) return;
    marked.current = newest;
    async function mark(upToMessageId: string) {
      const { data } = await client.mutation(ReadMessagesDocument, { input: { conversationId: id, upToMessageId } });
      // Try again when the connection is back.
      if (!data?.readMessages.conversation && marked.current === upToMessageId) marked.current = undefined;
    }
    void mark(newest);
  }, [id, unreadCount, newest, inSight, connected]);
}
