/** Shows what the server has not confirmed. */
import type { Change } from '../client/changes.ts';
import type { Unconfirmed } from '../client/unsent.ts';

interface Shown {
  content: string;
  deletedAt: string | null;
}

/** What a message shows after the change that the viewer has made, unless the server has rejected it. */
export function withChange({ content, deletedAt }: Shown, change: Change | undefined): Shown {
  if (change?.state !== 'waiting') return { content, deletedAt };
  if (change.kind === 'edit') return { content: change.content, deletedAt };
  return { content: '', deletedAt: deletedAt ?? new Date().toISOString() };
}

/** What the server has rejected in a conversation: the newest message, or else the newest change. */
export function rejectedIn(
  conversationId: string,
  unconfirmed: readonly Unconfirmed[],
  changes: ReadonlyMap<string, Change>,
): { problem: string; text: string } | undefined {
  const isRejected = (each: Unconfirmed | Change) => each.state === 'failed' && each.conversationId === conversationId;
  const message = unconfirmed.findLast(isRejected);
  if (message) return { problem: 'Not sent:', text: message.content };
  const change = [...changes.values()].findLast(isRejected);
  if (change?.kind === 'edit') return { problem: 'Not saved:', text: change.content };
  return change && { problem: 'Not deleted', text: '' };
}
