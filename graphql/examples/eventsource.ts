/** EventSource, as browsers have it built in: after a cut it returns by itself, with Last-Event-ID. */
import { EventSource } from 'eventsource';
import { print } from 'graphql';
import type { ExecutionResult } from 'graphql-sse';

import { MessageCreatedDocument, type MessageCreatedSubscription } from '../generated/graphql.ts';
import { Chat } from './chat.ts';
import { complain, endpoint, peer, signIn, typed } from './terminal.ts';

const headers = await signIn();
const chat = await Chat.open(headers, peer);

function listen(after: string): void {
  const parameters = { query: print(MessageCreatedDocument), variables: JSON.stringify({ after }) };
  const source = new EventSource(`${endpoint}?${new URLSearchParams(parameters)}`, {
    // A browser's takes no headers: there, the session cookie signs it in.
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
  });
  let last = after;
  source.addEventListener('next', (event) => {
    const { data, errors } = JSON.parse(event.data) as ExecutionResult<MessageCreatedSubscription>;
    errors?.forEach(complain);
    if (!data) return;
    last = event.lastEventId;
    chat.add(data.messageCreated.message, data.messageCreated.message.conversation.id);
  });
  // It ends only with an error: the session is over.
  source.addEventListener('complete', () => process.exit());
  source.addEventListener('error', () => {
    // It gives up when the answer is, say, a 503 while the server restarts.
    if (source.readyState === source.CLOSED) setTimeout(listen, 1000, last);
  });
}

listen(chat.inboxCursor);
for await (const content of typed()) await chat.send(content);
process.exit();
