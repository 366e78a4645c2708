/** Notifications for messages while no tab is attended, if the user has turned them on in the profile. */
import { useEffect } from 'react';

import { isAnyTabAttended } from '../client/attended.ts';
import { type InboxEvent, useSession } from '../client/session.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';
import { nameOf } from '../parts/names.ts';
import { conversationPath, navigate } from '../parts/router.tsx';
import { notifies } from './Profile.tsx';

export function useNotifications(): void {
  const session = useSession();
  useEffect(() => {
    const notifications = new Notifications(session.viewer.id);
    const stopListening = session.listen((event) => void notifications.apply(event));
    return () => {
      stopListening();
      notifications.close();
    };
  }, [session]);
}

interface Shown {
  messageId: string;
  notification: Notification;
}

/** The notifications of this tab, one for each conversation. They last until their message has been read. */
class Notifications {
  readonly #viewerId: string;
  readonly #shown = new Map<string, Shown>();
  #isClosed = false;

  constructor(viewerId: string) {
    this.#viewerId = viewerId;
  }

  async apply(event: InboxEvent): Promise<void> {
    if (event.__typename === 'MessageCreated') {
      const { message } = event;
      // Sending a message also reads those before it.
      if (message.mine) this.#close(message.conversation.id);
      else if (!message.deletedAt && notifies() && !(await isAnyTabAttended()))
        this.#show(message.conversation.id, message);
    } else if (event.__typename === 'MessageUpdated') {
      const conversationId = this.#conversationOf(event.message.id);
      if (conversationId !== undefined) this.#show(conversationId, event.message);
    } else if (event.__typename === 'MessageDeleted') {
      const conversationId = this.#conversationOf(event.message.id);
      if (conversationId !== undefined) this.#close(conversationId);
    } else if (event.__typename === 'ReadMarkMoved') {
      const { conversation, participant } = event;
      if (participant.user.id === this.#viewerId && conversation.unreadCount === 0) this.#close(conversation.id);
    }
  }

  /** Closes all, because another user of this device must not see them. */
  close(): void {
    this.#isClosed = true;
    for (const conversationId of [...this.#shown.keys()]) this.#close(conversationId);
  }

  #show(conversationId: string, { id, author, content }: MessageFieldsFragment): void {
    // One with the same tag, from another tab or for a message before, is replaced.
    const notification = this.#isClosed ? undefined : notify(nameOf(author), { body: content, tag: conversationId });
    if (!notification) return;
    this.#shown.set(conversationId, { messageId: id, notification });
    notification.onclose = () => {
      if (this.#shown.get(conversationId)?.notification === notification) this.#shown.delete(conversationId);
    };
    notification.onclick = () => {
      window.focus();
      navigate(conversationPath(conversationId));
      notification.close();
    };
  }

  #close(conversationId: string): void {
    this.#shown.get(conversationId)?.notification.close();
    this.#shown.delete(conversationId);
  }

  #conversationOf(messageId: string): string | undefined {
    return [...this.#shown].find(([, shown]) => shown.messageId === messageId)?.[0];
  }
}

/** Some browsers allow only service workers to show notifications. */
function notify(title: string, options: NotificationOptions): Notification | undefined {
  try {
    return new Notification(title, options);
  } catch {
    return undefined;
  }
}
