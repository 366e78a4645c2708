/** graphql-sse's own client, without the resuming client of this folder. */
import { print } from 'graphql';
import { createClient } from 'graphql-sse';

import { InboxEventsDocument, type InboxEventsSubscription } from '../generated/graphql.ts';
import { Chat } from './chat.ts';
import { complain, endpoint, peer, signIn, typed } from './terminal.ts';

const headers = await signIn();
const chat = await Chat.open(headers, peer);

// The client serialises these variables for every attempt, so a reconnect resumes from the last cursor.
const variables = { after: chat.inboxCursor, includeMine: false };

const client = createClient({ url: endpoint, headers, retryAttempts: Infinity });
client.subscribe<InboxEventsSubscription>(
  { query: print(InboxEventsDocument), variables },
  {
    next({ data, errors }) {
      errors?.forEach(complain);
      if (!data) return;
      variables.after = data.inboxEvents.cursor;
      chat.apply(data.inboxEvents);
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
