/** What the tabs of a browser tell each other, besides the events of their common stream. */
import { openChannel } from './channel.ts';

export type Said =
  /** Who is signed in: a tab that believes otherwise looks again. */
  | { kind: 'viewer'; id: string | null }
  /** The conversation has been read here. */
  | { kind: 'read'; conversationId: string };

const channel = openChannel<Said>('messenger-tabs');

export const sayToTabs = channel.say;
export const hearTabs = channel.hear;
