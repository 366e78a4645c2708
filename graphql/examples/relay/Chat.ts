/** Relay's store and network, without React. `npm run generate` compiles the documents and this file. */
import type { Sink } from 'graphql-sse';
import {
  commitMutation,
  ConnectionHandler,
  createOperationDescriptor,
  Environment,
  fetchQuery,
  getRequest,
  graphql,
  type MutationConfig,
  type MutationParameters,
  Network,
  Observable,
  type PayloadError,
  type RecordSourceSelectorProxy,
  RecordSource,
  requestSubscription,
  Store,
} from 'relay-runtime';

import { createResumingClient } from '../../client/resuming.ts';
import { retryingFetch } from '../../client/retrying.ts';
import { complain, endpoint, peer, pendingId, show, signIn, typed } from '../terminal.ts';
import type { ChatInboxQuery } from './__generated__/ChatInboxQuery.graphql';
import type { ChatInboxEventsSubscription } from './__generated__/ChatInboxEventsSubscription.graphql';
import type { ChatMessagesQuery } from './__generated__/ChatMessagesQuery.graphql';
import type { ChatOpenMutation } from './__generated__/ChatOpenMutation.graphql';
import type { ChatSendMutation } from './__generated__/ChatSendMutation.graphql';

const headers = await signIn();
const live = createResumingClient({ url: endpoint, headers: () => headers });

const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(
    async ({ text }, variables) => {
      const response = await retryingFetch(endpoint, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ query: text, variables }),
      });
      return response.json();
    },
    ({ text }, variables) =>
      Observable.create((sink) => live.subscribe({ query: text ?? '', variables }, sink as Sink)),
  ),
});

const inboxQuery = graphql`
  query ChatInboxQuery {
    viewer {
      id
      username
      removedAt
    }
    inboxCursor
  }
`;
const openMutation = graphql`
  mutation ChatOpenMutation($input: CreateConversationInput!) {
    createConversation(input: $input) {
      conversation {
        id
      }
      userErrors {
        code
        message
      }
    }
  }
`;
const messagesQuery = graphql`
  query ChatMessagesQuery($id: ID!, $last: Int!, $before: String) {
    conversation(id: $id) {
      messages(last: $last, before: $before) @connection(key: "Chat_messages") {
        edges {
          node {
            ...Chat_message @relay(mask: false)
          }
        }
        pageInfo {
          hasPreviousPage
          startCursor
        }
      }
    }
  }
`;
const sendMutation = graphql`
  mutation ChatSendMutation($input: CreateMessageInput!) @raw_response_type {
    createMessage(input: $input) {
      message {
        ...Chat_message @relay(mask: false)
      }
      userErrors {
        code
        message
      }
    }
  }
`;
// Relay stores the objects in an event by their IDs, which is all that most events need.
const inboxEventsSubscription = graphql`
  subscription ChatInboxEventsSubscription($after: String) {
    inboxEvents(after: $after, includeMine: false) {
      __typename
      cursor
      ... on MessageCreated {
        message {
          ...Chat_message @relay(mask: false)
        }
      }
      ... on MessageUpdated {
        message {
          ...Chat_message @relay(mask: false)
        }
      }
      ... on MessageDeleted {
        message {
          ...Chat_message @relay(mask: false)
        }
      }
      ... on UserUpdated {
        user {
          id
          username
          removedAt
        }
      }
    }
  }
`;
graphql`
  fragment Chat_message on Message {
    id
    content
    editedAt
    deletedAt
    author {
      id
      username
      removedAt
    }
    conversation {
      id
    }
  }
`;

function mutate<Mutation extends MutationParameters>(
  config: MutationConfig<Mutation>,
): Promise<Mutation['response']> {
  return new Promise((resolve, reject) => {
    commitMutation<Mutation>(environment, { ...config, onCompleted: resolve, onError: reject });
  });
}

// The cursor is fetched before the messages, so the subscription misses none of them.
const inbox = await fetchQuery<ChatInboxQuery>(environment, inboxQuery, {}).toPromise();
const { createConversation } = await mutate<ChatOpenMutation>({
  mutation: openMutation,
  variables: { input: { username: peer } },
});
createConversation.userErrors.forEach(complain);
const { conversation } = createConversation;
if (!inbox?.viewer || !conversation) process.exit(1);
const { viewer, inboxCursor } = inbox;

const variables = { id: conversation.id, last: 25 };
let before: string | null | undefined;
do {
  const page = await fetchQuery<ChatMessagesQuery>(environment, messagesQuery, { ...variables, before }).toPromise();
  const { hasPreviousPage, startCursor } = page?.conversation?.messages.pageInfo ?? {};
  before = hasPreviousPage ? startCursor : undefined;
} while (before);

const chat = createOperationDescriptor(getRequest(messagesQuery), variables);
const snapshot = environment.lookup(chat.fragment);
environment.retain(chat);
environment.subscribe(snapshot, ({ data }) => showChat(data));
showChat(snapshot.data);

function showChat(data: unknown): void {
  const { conversation } = data as ChatMessagesQuery['response'];
  show(conversation?.messages.edges.map(({ node }) => node) ?? []);
}

/** Adds the message in this root field to its conversation unless it is already there. */
function add(store: RecordSourceSelectorProxy, rootField: string): void {
  const message = store.getRootField(rootField)?.getLinkedRecord('message');
  const itsConversation = message?.getLinkedRecord('conversation');
  const messages = itsConversation && ConnectionHandler.getConnection(itsConversation, 'Chat_messages');
  const nodes = messages?.getLinkedRecords('edges')?.map((edge) => edge?.getLinkedRecord('node')?.getDataID());
  if (!message || !messages || nodes?.includes(message.getDataID())) return;
  const edge = ConnectionHandler.createEdge(store, messages, message, 'MessageEdge');
  ConnectionHandler.insertEdgeAfter(messages, edge);
}

requestSubscription<ChatInboxEventsSubscription>(environment, {
  subscription: inboxEventsSubscription,
  variables: { after: inboxCursor },
  updater(store) {
    if (store.getRootField('inboxEvents')?.getType() === 'MessageCreated') add(store, 'inboxEvents');
  },
  onError(error) {
    // Relay's error has the answer, with its `errors`, as `source`.
    const { source } = error as Error & { source?: { errors: readonly PayloadError[] } };
    source?.errors.forEach(complain);
    process.exit();
  },
});

for await (const content of typed()) {
  const idempotencyKey = crypto.randomUUID();
  const { createMessage } = await mutate<ChatSendMutation>({
    mutation: sendMutation,
    variables: { input: { conversationId: conversation.id, content, idempotencyKey } },
    optimisticResponse: {
      createMessage: {
        message: {
          id: pendingId(idempotencyKey),
          content,
          editedAt: null,
          deletedAt: null,
          author: viewer,
          conversation,
        },
        userErrors: [],
      },
    },
    optimisticUpdater: (store) => add(store, 'createMessage'),
    updater: (store) => add(store, 'createMessage'),
  });
  createMessage.userErrors.forEach(complain);
}
process.exit();
