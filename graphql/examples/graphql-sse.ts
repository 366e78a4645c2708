/** graphql-sse's own client as it comes, and nothing else. */
import { print } from 'graphql';
import { createClient } from 'graphql-sse';

import { MessageCreatedDocument, type MessageCreatedSubscription } from '../generated/graphql.ts';
import { Chat } from './chat.ts';
import { complain, endpoint, peer, signIn, typed } from './terminal.ts';

const headers = await signIn();
const chat = await Chat.open(headers, peer);

// The client writes these anew into each request, so after a cut it comes back from the last cursor.
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
    // It ends only with an error: the session is over.
    complete: () => process.exit(),
  },
);

for await (const content of typed()) await chat.send(content);
process.exit();
