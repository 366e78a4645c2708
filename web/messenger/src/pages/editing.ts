/** The message that the user is editing in the composer. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';

import type { Editing } from '../client/changes.ts';
import { useSession } from '../client/session.ts';
import { MessageDocument, type MessageFieldsFragment } from '../generated/graphql.ts';

/** The text in the field, and the message as it is now, which another device may have changed. */
export interface EditedMessage {
  text: string;
  message: MessageFieldsFragment;
}

export function useEditing(conversationId: string, messages: MessageFieldsFragment[]) {
  const client = useClient();
  const { changes } = useSession();
  const [current, setCurrent] = useState(() => changes.editing.get(conversationId));
  const latest = useRef(messages);
  useEffect(() => void (latest.current = messages));

  function set(editing: Editing | undefined): void {
    if (editing) changes.editing.set(conversationId, editing);
    else changes.editing.delete(conversationId);
    setCurrent(editing);
  }

  const begin = useCallback(
    (messageId: string, text: string) => {
      const message = latest.current.find(({ id }) => id === messageId);
      if (!message) return;
      changes.discard(messageId);
      set({ messageId, text, version: message.version });
      // The time for editing may have passed since the message was fetched.
      void client.query(MessageDocument, { id: messageId }, { requestPolicy: 'network-only' }).toPromise();
    },
    [conversationId],
  );

  const message = messages.find(({ id }) => id === current?.messageId);
  return {
    editing: current && message ? { text: current.text, message } : undefined,
    begin,
    type: (text: string) => current && set({ ...current, text }),
    cancel: () => set(undefined),
    /** Saves the text, unless it is that of the message. */
    save: (text: string) => {
      if (current && message && text !== message.content) changes.edit({ ...current, text });
      set(undefined);
    },
  };
}
