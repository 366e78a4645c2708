/** What the examples share: who talks to whom, and a terminal in the place of a page. */
import { createInterface } from 'node:readline';

/** npx tsx examples/apollo.ts [URL] [USERNAME] [WHOM TO WRITE TO] */
const [server = 'http://localhost:8000', username = 'john', peer = 'jane'] = process.argv.slice(2);

export const endpoint = `${server}/graphql`;
export { peer };

/** Signs in as a development server lets everybody, and returns the headers that prove it. */
export async function signIn(): Promise<{ authorization: string }> {
  const response = await fetch(`${server}/auth/dev/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username }),
  });
  if (!response.ok) throw new Error(`Not signed in: ${await response.text()}`);
  const { token } = (await response.json()) as { token: string };
  return { authorization: `Bearer ${token}` };
}

export interface ShownMessage {
  id: string;
  content: string;
  author: { username: string };
}

/** The id of a message on its way, before the server gives it one. */
export const pendingId = (idempotencyKey: string) => `pending:${idempotencyKey}`;

// What would drive the terminal or reorder what it shows: controls, and overrides of the writing direction.
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** Escapes control characters, and indents further lines so that they do not look like other messages. */
function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(controls, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('\n', '\n    ');
}

let shown: string[] = [];

/** Shows the conversation: prints the lines that are new or have changed since it was last shown. */
export function show(messages: readonly ShownMessage[]): void {
  const lines = messages.map(
    ({ id, author, content }) =>
      `${author.username}: ${content}${id.startsWith(pendingId('')) ? ' (sending)' : ''}`,
  );
  lines.forEach((line, index) => line === shown[index] || console.log(printable(line)));
  shown = lines;
}

/** Shows an error: one of a payload's userErrors, or a GraphQL error with its code in extensions. */
export function complain(error: { message: string; code?: string; extensions?: { code?: unknown } }): void {
  console.log(printable(`! ${error.code ?? error.extensions?.code}: ${error.message}`));
}

/** What the person types, until the end of input. */
export const typed = (): AsyncIterable<string> => createInterface({ input: process.stdin });
