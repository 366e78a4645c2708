/**
 * urql with its normalised cache. Subscriptions use graphql-sse, or with `own-reader` as the last argument urql's own
 * reader of event streams, `fetchSubscriptions`.
 */
import { readFile } from 'node:fs/promises';

import {
  type AnyVariables,
  Client,
  CombinedError,
  type Exchange,
  fetchExchange,
  makeOperation,
  mapExchange,
  subscriptionExchange,
} from '@urql/core';
import { type Cache, cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { retryExchange } from '@urql/exchange-retry';
import { buildSchema, introspectionFromSchema } from 'graphql';

import { createResumingClient } from '../client/resuming.ts';
import {
  ConversationDocument,
  ConversationFieldsFragmentDoc,
  type CreateMessageInput,
  InboxDocument,
  InboxEventsDocument,
  type InboxEventsSubscription,
  type MessageFieldsFragment,
  OpenConversationDocument,
  SendMessageDocument,
  type SendMessageMutation,
} from '../generated/graphql.ts';
import { complain, endpoint, peer, pendingId, show, signIn, typed } from './terminal.ts';

const ownReader = process.argv.at(-1) === 'own-reader';
const headers = await signIn();

/** Adds a message to its conversation. If it is already there, relayPagination shows it once. */
function add(cache: Cache, message: MessageFieldsFragment, conversationId: string): void {
  cache.updateQuery({ query: ConversationDocument, variables: { id: conversationId } }, (data) => {
    if (!data?.conversation) return data;
    const { messages } = data.conversation;
    const edges = [...messages.edges, { __typename: 'MessageEdge' as const, node: message }];
    return { ...data, conversation: { ...data.conversation, messages: { ...messages, edges } } };
  });
}

// The cache needs the schema to choose the fragment that fits an event. A web page would import the introspection as
// JSON that @urql/introspection has reduced.
const schema = buildSchema(await readFile(new URL('../schema.graphql', import.meta.url), 'utf8'));
const cache = cacheExchange({
  schema: introspectionFromSchema(schema),
  // A participant has no ID; it is stored with the event that contains it.
  keys: { Participant: () => null },
  resolvers: {
    Query: { conversations: relayPagination() },
    Conversation: { messages: relayPagination() },
  },
  optimistic: {
    createMessage(args, cache) {
      const { conversationId, content, idempotencyKey } = args['input'] as CreateMessageInput;
      return {
        __typename: 'CreateMessagePayload',
        message: {
          __typename: 'Message',
          id: pendingId(idempotencyKey ?? ''),
          content,
          version: 1,
          createdAt: new Date().toISOString(),
          editedAt: null,
          deletedAt: null,
          mine: true,
          readByOthers: false,
          viewerCanEdit: false,
          viewerCanDelete: false,
          author: cache.readQuery({ query: InboxDocument })?.viewer,
          conversation: cache.readFragment(ConversationFieldsFragmentDoc, {
            __typename: 'Conversation',
            id: conversationId,
          }),
        },
        userErrors: [],
      };
    },
  },
  updates: {
    Mutation: {
      createMessage({ createMessage }: SendMessageMutation, _args, cache) {
        const { message } = createMessage;
        if (message) add(cache, message, message.conversation.id);
      },
    },
    Subscription: {
      // The cache applies other events by itself, because they have the IDs and types of the objects that have changed.
      inboxEvents({ inboxEvents: event }: InboxEventsSubscription, _args, cache) {
        if (event.__typename === 'MessageCreated') add(cache, event.message, event.message.conversation.id);
      },
    },
  },
});

/** Makes retryExchange resume subscriptions of urql's own reader from the last cursor, even after a clean end. */
function resumeExchange(): Exchange {
  const cursors = new Map<number, string>();
  return mapExchange({
    onOperation(operation) {
      const after = cursors.get(operation.key);
      if (operation.kind !== 'subscription' || after === undefined) return operation;
      const variables: AnyVariables = { ...operation.variables, after };
      return makeOperation(operation.kind, { ...operation, variables }, operation.context);
    },
    onResult(result) {
      if (result.operation.kind !== 'subscription' || result.error?.graphQLErrors.length) return result;
      if (!result.hasNext)
        return { ...result, error: new CombinedError({ networkError: new Error('The stream has ended.') }) };
      const { inboxEvents } = result.data as InboxEventsSubscription;
      cursors.set(result.operation.key, inboxEvents.cursor);
      return result;
    },
  });
}

function graphqlSseExchange(): Exchange {
  const live = createResumingClient({ url: endpoint, headers: () => headers });
  return subscriptionExchange({
    forwardSubscription: ({ query = '', variables = {} }) => ({
      subscribe: (sink) => ({ unsubscribe: live.subscribe({ query, variables }, sink) }),
    }),
  });
}

const client = new Client({
  url: endpoint,
  fetchOptions: { headers },
  fetchSubscriptions: ownReader,
  exchanges: [
    cache,
    // Retries requests without a response. The idempotencyKey makes that safe for messages.
    retryExchange({ maxNumberAttempts: Infinity }),
    ownReader ? resumeExchange() : graphqlSseExchange(),
    fetchExchange,
  ],
});

// The cursor is fetched before the messages, so the subscription misses none of them.
const { data: inbox } = await client.query(InboxDocument, {});
const { data: opened } = await client.mutation(OpenConversationDocument, { input: { username: peer } });
opened?.createConversation.userErrors.forEach(complain);
const conversation = opened?.createConversation.conversation;
if (!inbox || !conversation) process.exit(1);

let before: string | null | undefined;
do {
  const { data } = await client.query(ConversationDocument, { id: conversation.id, before });
  const page = data?.conversation?.messages.pageInfo;
  before = page?.hasPreviousPage ? page.startCursor : undefined;
} while (before);
client.query(ConversationDocument, { id: conversation.id }).subscribe(({ data }) => {
  show(data?.conversation?.messages.edges.map(({ node }) => node) ?? []);
});

const variables = { after: inbox.inboxCursor, includeMine: false };
client.subscription(InboxEventsDocument, variables).subscribe(({ error }) => {
  if (!error) return;
  error.graphQLErrors.forEach((each) => complain(each));
  process.exit();
});

for await (const content of typed()) {
  const input = { conversationId: conversation.id, content, idempotencyKey: crypto.randomUUID() };
  const { data } = await client.mutation(SendMessageDocument, { input });
  data?.createMessage.userErrors.forEach(complain);
}
process.exit();
