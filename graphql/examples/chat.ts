/** A conversation without a cache library: queries and mutations over fetch, messages in an array. */
import type { ResultOf, TypedDocumentNode, VariablesOf } from '@graphql-typed-document-node/core';
import { print } from 'graphql';

import { retryingFetch } from '../client/retrying.ts';
import {
  ConversationDocument,
  InboxDocument,
  type InboxEventsSubscription,
  type MessageFieldsFragment,
  OpenConversationDocument,
  SendMessageDocument,
} from '../generated/graphql.ts';
import { complain, endpoint, pendingId, show, type ShownMessage } from './terminal.ts';

type Message = Pick<MessageFieldsFragment, keyof ShownMessage | 'version'>;
type GraphQLErrors = readonly { message: string; extensions?: { code?: unknown } }[];

export class Chat {
  private messages: Message[] = [];

  private constructor(
    private readonly headers: { authorization: string },
    private readonly viewer: Message['author'],
    private readonly conversationId: string,
    /** The position in the viewer's inbox from before the messages were loaded. */
    readonly inboxCursor: string,
  ) {}

  /** Opens the conversation with the user and shows its messages, loaded page by page from the newest. */
  static async open(headers: { authorization: string }, username: string): Promise<Chat> {
    const { viewer, inboxCursor } = await execute(headers, InboxDocument, {});
    const { createConversation } = await execute(headers, OpenConversationDocument, { input: { username } });
    createConversation.userErrors.forEach(complain);
    if (!viewer || !createConversation.conversation) process.exit(1);
    const chat = new Chat(headers, viewer, createConversation.conversation.id, inboxCursor);
    await chat.load();
    return chat;
  }

  /** Applies an event, which has its message or user as they are now. Events of other types change nothing here. */
  apply(event: InboxEventsSubscription['inboxEvents']): void {
    switch (event.__typename) {
      case 'MessageCreated': {
        const { message } = event;
        if (message.conversation.id !== this.conversationId) return;
        if (this.messages.some(({ id }) => id === message.id)) this.replace(message);
        else this.update([...this.messages, message]);
        return;
      }
      case 'MessageUpdated':
      case 'MessageDeleted':
        return this.replace(event.message);
      case 'UserUpdated': {
        const { user } = event;
        this.update(this.messages.map((each) => (each.author.id === user.id ? { ...each, author: user } : each)));
      }
    }
  }

  /** Shows the message as pending, then replaces it with the stored one, or removes it if sending failed. */
  async send(content: string): Promise<void> {
    const idempotencyKey = crypto.randomUUID();
    const pending = {
      id: pendingId(idempotencyKey),
      content,
      version: 1,
      editedAt: null,
      deletedAt: null,
      author: this.viewer,
    };
    this.update([...this.messages, pending]);
    const input = { conversationId: this.conversationId, content, idempotencyKey };
    const { createMessage } = await execute(this.headers, SendMessageDocument, { input });
    createMessage.userErrors.forEach(complain);
    this.update(this.messages.flatMap((each) => (each === pending ? (createMessage.message ?? []) : each)));
  }

  private async load(): Promise<void> {
    let before: string | null | undefined;
    do {
      const { conversation } = await execute(this.headers, ConversationDocument, { id: this.conversationId, before });
      if (!conversation) return;
      const { edges, pageInfo } = conversation.messages;
      this.messages.unshift(...edges.map(({ node }) => node));
      before = pageInfo.hasPreviousPage ? pageInfo.startCursor : undefined;
    } while (before);
    show(this.messages);
  }

  /** Replaces the message if it is shown, unless what is shown is newer. */
  private replace(message: Message): void {
    this.update(
      this.messages.map((each) => (each.id === message.id && each.version <= message.version ? message : each)),
    );
  }

  private update(messages: Message[]): void {
    this.messages = messages;
    show(messages);
  }
}

async function execute<Document extends TypedDocumentNode<unknown, never>>(
  headers: { authorization: string },
  document: Document,
  variables: VariablesOf<Document>,
): Promise<ResultOf<Document>> {
  const response = await retryingFetch(endpoint, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors = [] } = (await response.json()) as { data?: ResultOf<Document>; errors?: GraphQLErrors };
  errors.forEach(complain);
  return data ?? process.exit(1);
}
