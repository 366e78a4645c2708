/** What the viewer can do with one of their messages. */
import { useState } from 'react';

import { useSession } from '../client/session.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';
import { Confirmation } from '../parts/Confirmation.tsx';
import { Menu, type MenuItem, type Point } from '../parts/Menu.tsx';
import { previewOf } from '../parts/text.ts';

export interface OpenMenu {
  messageId: string;
  at: Point;
  /** Tells it from the one before. */
  number: number;
}

interface Props {
  conversationId: string;
  message: MessageFieldsFragment;
  at: Point;
  onEdit: () => void;
  onClose: () => void;
}

export function MessageMenu({ conversationId, message, at, onEdit, onClose }: Props) {
  const { changes } = useSession();
  const [asks, setAsks] = useState(false);
  if (asks)
    return (
      <Confirmation
        question="Delete this message?"
        quote={previewOf(message)}
        explanation="It will be deleted for everyone in this conversation. This cannot be undone."
        action="Delete"
        onConfirm={() => changes.delete(conversationId, message.id)}
        onClose={onClose}
      />
    );
  const items: MenuItem[] = [
    ...(message.viewerCanEdit ? [{ label: 'Edit', act: onEdit }] : []),
    // Browsers provide the clipboard only over HTTPS.
    ...('clipboard' in navigator
      ? [{ label: 'Copy text', act: () => void navigator.clipboard.writeText(message.content).catch(() => {}) }]
      : []),
    ...(message.viewerCanDelete ? [{ label: 'Delete', isDanger: true, act: () => setAsks(true) }] : []),
  ];
  return <Menu label="Message" quote={previewOf(message)} at={at} items={items} onClose={onClose} />;
}
