import type { Change } from '../client/changes.ts';

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
