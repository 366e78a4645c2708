/**
 * Apollo Client 4: queries and mutations over HttpLink, subscriptions over a link that uses graphql-sse. With
 * `multipart` as the last argument, subscriptions use HttpLink too; with `single-connection`, graphql-sse uses that
 * mode.
 */
import {
  ApolloClient,
  ApolloLink,
  CombinedGraphQLErrors,
  HttpLink,
  InMemoryCache,
  Observable,
  ServerError,
} from '@apollo/client';
import { RetryLink } from '@apollo/client/link/retry';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode, print } from 'graphql';
import { tap } from 'rxjs';

import { createResumingClient } from '../client/resuming.ts';
import {
  ConversationDocument,
  InboxDocument,
  InboxEventsDocument,
  type MessageFieldsFragment,
  OpenConversationDocument,
  SendMessageDocument,
} from '../generated/graphql.ts';
import { complain, endpoint, peer, pendingId, show, signIn, typed } from './terminal.ts';

const transport = process.argv.at(-1);
const headers = await signIn();
const live = createResumingClient({
  url: endpoint,
  headers: () => headers,
  singleConnection: transport === 'single-connection',
});

const sseLink = new ApolloLink(
  ({ query, variables, operationName }) =>
    new Observable((observer) =>
      live.subscribe({ query: print(query), variables, operationName }, observer),
    ),
);
// Retries requests without a response. The idempotencyKey makes that safe for messages.
const retryLink = new RetryLink({
  attempts: { max: Infinity, retryIf: (error) => !ServerError.is(error) || error.statusCode >= 500 },
  delay: { initial: 300, max: 5000 },
});
// Makes a retried subscription resume from the last cursor.
const resumeLink = new ApolloLink((operation, forward) =>
  forward(operation).pipe(
    tap(({ data }) => {
      const after: unknown = data?.['inboxEvents']?.cursor;
      if (after) operation.variables = { ...operation.variables, after };
    }),
  ),
);
const httpLink = ApolloLink.from([retryLink, resumeLink, new HttpLink({ uri: endpoint, headers })]);
const isSubscription = ({ operationType }: ApolloLink.Operation) =>
  operationType === OperationTypeNode.SUBSCRIPTION;

const client = new ApolloClient({
  link: transport === 'multipart' ? httpLink : ApolloLink.split(isSubscription, sseLink, httpLink),
  cache: new InMemoryCache({
    typePolicies: {
      Query: { fields: { conversations: relayStylePagination() } },
      Conversation: { fields: { messages: relayStylePagination() } },
    },
  }),
});

// The cursor is fetched before the messages, so the subscription misses none of them.
const { data: inbox } = await client.query({ query: InboxDocument });
const { data: opened } = await client.mutate({
  mutation: OpenConversationDocument,
  variables: { input: { username: peer } },
});
opened?.createConversation.userErrors.forEach(complain);
const conversation = opened?.createConversation.conversation;
if (!inbox?.viewer || !conversation) process.exit(1);
const { viewer, inboxCursor } = inbox;

const chat = client.watchQuery({ query: ConversationDocument, variables: { id: conversation.id } });
let page = (await chat.refetch()).data?.conversation?.messages.pageInfo;
while (page?.hasPreviousPage) {
  const { data } = await chat.fetchMore({ variables: { before: page.startCursor } });
  page = data?.conversation?.messages.pageInfo;
}
chat.subscribe(({ data, dataState }) => {
  if (dataState === 'complete') show(data.conversation?.messages.edges.map(({ node }) => node) ?? []);
});

/** Adds a message to its conversation, unless it is there already. */
function add(message: MessageFieldsFragment, conversationId: string, cache = client.cache): void {
  cache.updateQuery({ query: ConversationDocument, variables: { id: conversationId } }, (data) => {
    if (!data?.conversation) return undefined;
    const { messages } = data.conversation;
    if (messages.edges.some(({ node }) => node.id === message.id)) return undefined;
    const edges = [...messages.edges, { __typename: 'MessageEdge' as const, node: message }];
    return { ...data, conversation: { ...data.conversation, messages: { ...messages, edges } } };
  });
}

// The cache applies most events by itself, because they have the IDs and types of the objects that have changed.
client.subscribe({ query: InboxEventsDocument, variables: { after: inboxCursor, includeMine: false } }).subscribe({
  next({ data, error }) {
    if (data?.inboxEvents.__typename === 'MessageCreated')
      add(data.inboxEvents.message, data.inboxEvents.message.conversation.id);
    if (CombinedGraphQLErrors.is(error)) error.errors.forEach(complain);
  },
  // Completes only after an error: the session has ended.
  complete: () => process.exit(),
});

for await (const content of typed()) {
  const idempotencyKey = crypto.randomUUID();
  const { data } = await client.mutate({
    mutation: SendMessageDocument,
    variables: { input: { conversationId: conversation.id, content, idempotencyKey } },
    optimisticResponse: {
      __typename: 'Mutation',
      createMessage: {
        __typename: 'CreateMessagePayload',
        message: {
          __typename: 'Message',
          id: pendingId(idempotencyKey),
          content,
          version: 1,
          createdAt: new Date().toISOString(),
          editedAt: null,
          deletedAt: null,
          mine: true,
          readByOthers: false,
          viewerCanEdit: false,
          viewerCanDelete: false,
          author: viewer,
          conversation,
        },
        userErrors: [],
      },
    },
    update(cache, { data }) {
      if (data?.createMessage.message) add(data.createMessage.message, conversation.id, cache);
    },
  });
  data?.createMessage.userErrors.forEach(complain);
}
process.exit();
