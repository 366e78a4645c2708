/** What the viewer can do with one of their messages. */
import { useState } from 'react';

import { useSession } from '../client/session.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';
import { Confirmation } from '../parts/Confirmation.tsx';
import { Menu, type MenuItem, type Point } from '../parts/Menu.tsx';

export interface OpenMenu {
  messageId: string;
  at: Point;
  /** Tells it from the one before. */
  number: number;
}

interface Props {
  message: MessageFieldsFragment;
  at: Point;
  onEdit: () => void;
  onClose: () => void;
  onDeleted: () => void;
}

export function MessageMenu({ message, at, onEdit, onClose, onDeleted }: Props) {
  const { changes } = useSession();
  const [asks, setAsks] = useState(false);
  if (asks)
    return (
      <Confirmation
        question="Delete this message?"
        explanation="It will be deleted for everyone in this conversation. This cannot be undone."
        action="Delete"
        onConfirm={() => {
          changes.delete(message.id);
          onDeleted();
        }}
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
  return <Menu label="Message" at={at} items={items} onClose={onClose} />;
}
