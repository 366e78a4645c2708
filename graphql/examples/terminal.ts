/** Shared by the examples: arguments, sign-in, and a terminal in place of a page. */
import { createInterface } from 'node:readline';

/** npx tsx examples/apollo.ts [URL] [USERNAME] [RECIPIENT] */
const [server = 'http://localhost:8000', username = 'john', peer = 'jane'] = process.argv.slice(2);

export const endpoint = `${server}/graphql`;
export { peer };

/** Signs in by name, as a development server allows, and returns the headers that authenticate requests. */
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
  editedAt?: string | null | undefined;
  deletedAt?: string | null | undefined;
  author: { username: string; removedAt?: string | null | undefined };
}

/** The ID of a pending message, until the server assigns one. */
export const pendingId = (idempotencyKey: string) => `pending:${idempotencyKey}`;

// Characters that would control the terminal or reorder its text: control codes and bidirectional overrides.
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** Escapes control characters, and indents continuation lines so that they do not look like messages. */
function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(controls, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('\n', '\n    ');
}

let shown: string[] = [];

/** Shows the conversation: prints the lines that are new or changed since the last call. */
export function show(messages: readonly ShownMessage[]): void {
  const lines = messages.map(lineOf);
  lines.forEach((line, index) => line === shown[index] || console.log(printable(line)));
  shown = lines;
}

function lineOf({ id, author, content, editedAt, deletedAt }: ShownMessage): string {
  const name = author.removedAt ? '(removed user)' : author.username;
  if (deletedAt) return `${name}: (deleted)`;
  if (id.startsWith(pendingId(''))) return `${name}: ${content} (sending)`;
  return `${name}: ${content}${editedAt ? ' (edited)' : ''}`;
}

/** Prints a user error of a payload, or a GraphQL error with its code in extensions. */
export function complain(error: { message: string; code?: string; extensions?: { code?: unknown } }): void {
  console.log(printable(`! ${error.code ?? error.extensions?.code}: ${error.message}`));
}

/** The lines that the user types, until the end of input. */
export const typed = (): AsyncIterable<string> => createInterface({ input: process.stdin });
