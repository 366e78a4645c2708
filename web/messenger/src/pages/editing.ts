/** The message that the user is editing in the composer. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';

import type { Edit } from '../client/edits.ts';
import { useSession } from '../client/session.ts';
import { useStore } from '../client/store.ts';
import { MessageDocument, type MessageFieldsFragment } from '../generated/graphql.ts';

/** The text in the field, and the message as it is now. */
export interface EditedMessage {
  messageId: string;
  text: string;
  /** Undefined until it has been fetched, if it is not among the loaded ones. */
  message: MessageFieldsFragment | undefined;
  /** Why the text cannot be saved. */
  obstacle: string | undefined;
}

/**
 * The newest unfinished edit in the conversation. When it is saved or cancelled, the one before continues, so that
 * nothing the user has typed is lost.
 */
export function useEditing(conversationId: string, messages: MessageFieldsFragment[]) {
  const { changes, edits } = useSession();
  const [current, setCurrent] = useState(() => edits.newest(conversationId));
  const change = useStore(changes.items).get(current?.messageId ?? '');
  // The time for editing may have passed since the message was loaded, which may also be far above the loaded ones.
  const [{ data }] = useQuery({
    query: MessageDocument,
    variables: { id: current?.messageId ?? '' },
    pause: !current,
    requestPolicy: 'cache-and-network',
  });
  const fetched = data?.node && 'content' in data.node ? data.node : undefined;
  const message = current && [...messages, fetched].find((each) => each?.id === current.messageId);

  // An edit in which nothing has been typed follows the message.
  useEffect(() => {
    if (!current || !message || isTyped(current) || message.version <= current.version || message.deletedAt) return;
    const { content, version } = message;
    show({ ...current, text: content, original: content, version });
  }, [message]);

  const latest = useRef({ messages, current });
  useEffect(() => void (latest.current = { messages, current }));

  // Show changes from another tab, unless the user is writing in this one.
  useEffect(
    () => edits.watch(() => document.hasFocus() || setCurrent(edits.newest(conversationId))),
    [edits, conversationId],
  );

  function show(edit: Edit): void {
    edits.put(edit);
    setCurrent(edit);
  }

  function finish(messageId: string): void {
    edits.remove(messageId);
    setCurrent(edits.newest(conversationId));
  }

  /** Starts to edit a message with this text, or continues with what the user has typed before. */
  const begin = useCallback(
    (messageId: string, text: string) => {
      const { messages, current } = latest.current;
      const message = messages.find(({ id }) => id === messageId);
      if (!message) return;
      // An edit without any change need not continue later.
      if (current && !isTyped(current)) edits.remove(current.messageId);
      const before = edits.get(messageId);
      const { content: original, version } = message;
      show(before && isTyped(before) ? before : { messageId, conversationId, text, original, version });
    },
    [edits, conversationId],
  );

  const isDeleted = message?.deletedAt != null || (change?.kind === 'delete' && change.state === 'waiting');
  const editing: EditedMessage | undefined = current && {
    messageId: current.messageId,
    text: current.text,
    message,
    obstacle: isDeleted
      ? 'This message has been deleted.'
      : message && !message.viewerCanEdit
        ? 'The time for editing this message has passed.'
        : undefined,
  };
  return {
    editing,
    begin,
    type: (text: string) => current && show({ ...current, text }),
    cancel: () => current && finish(current.messageId),
    /** Saves the text, unless it is that of the message. */
    save: (text: string) => {
      if (!current) return;
      if (text === message?.content) changes.discard(current.messageId);
      else changes.edit(conversationId, current.messageId, text, current.version);
      finish(current.messageId);
    },
  };
}

const isTyped = ({ text, original }: Edit) => text !== original;
