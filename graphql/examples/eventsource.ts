/** EventSource, which is built into browsers. It reconnects by itself and resumes with Last-Event-ID. */
import { EventSource } from 'eventsource';
import { print } from 'graphql';
import type { ExecutionResult } from 'graphql-sse';

import { InboxEventsDocument, type InboxEventsSubscription } from '../generated/graphql.ts';
import { Chat } from './chat.ts';
import { complain, endpoint, peer, signIn, typed } from './terminal.ts';

const headers = await signIn();
const chat = await Chat.open(headers, peer);

function listen(after: string): void {
  const variables = JSON.stringify({ after, includeMine: false });
  const parameters = { query: print(InboxEventsDocument), variables };
  const source = new EventSource(`${endpoint}?${new URLSearchParams(parameters)}`, {
    // EventSource in browsers cannot send headers. The session cookie authenticates it there.
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
  });
  let last = after;
  source.addEventListener('next', (event) => {
    const { data, errors } = JSON.parse(event.data) as ExecutionResult<InboxEventsSubscription>;
    errors?.forEach(complain);
    if (!data) return;
    last = event.lastEventId;
    chat.apply(data.inboxEvents);
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
