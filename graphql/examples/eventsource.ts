/** EventSource, which is built into browsers. It reconnects by itself and resumes with Last-Event-ID. */
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
    // EventSource in browsers cannot send headers. The session cookie authenticates it there.
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
  // Completes only after an error: the session has ended.
  source.addEventListener('complete', () => process.exit());
  source.addEventListener('error', () => {
    // EventSource does not reconnect after an HTTP error such as a 503 while the server restarts.
    if (source.readyState === source.CLOSED) setTimeout(listen, 1000, last);
  });
}

listen(chat.inboxCursor);
for await (const content of typed()) await chat.send(content);
process.exit();
