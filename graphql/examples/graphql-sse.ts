/** graphql-sse's own client, without the resuming client of this folder. */
import { print } from 'graphql';
import { createClient } from 'graphql-sse';

import { MessageCreatedDocument, type MessageCreatedSubscription } from '../generated/graphql.ts';
import { Chat } from './chat.ts';
import { complain, endpoint, peer, signIn, typed } from './terminal.ts';

const headers = await signIn();
const chat = await Chat.open(headers, peer);

// The client serialises these variables for every attempt, so a reconnect resumes from the last cursor.
const variables = { after: chat.inboxCursor };

const client = createClient({ url: endpoint, headers, retryAttempts: Infinity });
client.subscribe<MessageCreatedSubscription>(
  { query: print(MessageCreatedDocument), variables },
  {
    next({ data, errors }) {
      errors?.forEach(complain);
      if (!data) return;
      const { cursor, message } = data.messageCreated;
      variables.after = cursor;
      chat.add(message, message.conversation.id);
    },
    error(reason) {
      console.error(reason);
      process.exit(1);
    },
    // Completes only after an error: the session has ended.
    complete: () => process.exit(),
  },
);

for await (const content of typed()) await chat.send(content);
process.exit();
