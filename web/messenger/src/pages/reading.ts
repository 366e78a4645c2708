/** Read marks: marks what the viewer sees as read, and polls for what others have read. */
import { useEffect, useRef } from 'react';
import { useClient } from 'urql';

import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { postToTabs } from '../client/tabs.ts';
import { type MessageFieldsFragment, ReadMarksDocument, ReadMessagesDocument } from '../generated/graphql.ts';
import { useAttended } from '../parts/attention.ts';
import { useVisible } from '../parts/hooks.ts';
import type { OpenConversation } from './Conversation.tsx';

const POLL_MS = 4000;
const MAX_IDS = 50;

export function useReading(conversation: OpenConversation, messages: MessageFieldsFragment[], atEnd: boolean): void {
  const attended = useAttended();
  const visible = useVisible();
  useMarkRead(conversation, messages.at(-1)?.id, attended && atEnd);
  useReadMarks(messages, useStore(useSession().connected) && visible);
}

function useMarkRead({ id, unreadCount }: OpenConversation, newest: string | undefined, inSight: boolean): void {
  const client = useClient();
  const session = useSession();
  const connected = useStore(session.connected);
  const marked = useRef<string>(undefined);
  useEffect(() => {
    if (!inSight || unreadCount === 0 || newest === undefined || marked.current === newest) return;
    marked.current = newest;
    async function mark(upToMessageId: string) {
      const { data } = await client.mutation(ReadMessagesDocument, { input: { conversationId: id, upToMessageId } });
      session.changes++;
      if (data?.readMessages.conversation) postToTabs({ kind: 'read', conversationId: id });
      else if (marked.current === upToMessageId) marked.current = undefined; // Try again when the connection is back.
    }
    void mark(newest);
  }, [id, unreadCount, newest, inSight, connected]);
}

/** There is no event for reading, so this polls while the page is visible and the viewer's messages are unread. */
function useReadMarks(messages: MessageFieldsFragment[], inSight: boolean): void {
  const client = useClient();
  const ids = messages.flatMap(({ id, mine, readByOthers }) => (mine && !readByOthers ? [id] : [])).slice(-MAX_IDS);
  // A user who answers has read the messages before.
  const answered = messages.findLast(({ mine }) => !mine)?.id;
  const asked = ids.join();
  useEffect(() => {
    if (!inSight || !asked) return undefined;
    const ask = () =>
      void client.query(ReadMarksDocument, { ids: asked.split(',') }, { requestPolicy: 'network-only' }).toPromise();
    ask();
    const timer = setInterval(ask, POLL_MS);
    return () => clearInterval(timer);
  }, [inSight, asked, answered]);
}
