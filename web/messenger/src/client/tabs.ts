/** What the tabs of a browser send each other, in addition to the events of the shared stream. */
import { openChannel } from './channel.ts';

type TabMessage =
  /** Who is signed in. A tab with another user restarts its session. */
  | { kind: 'viewer'; id: string | null }
  /** The conversation has been read in this tab. */
  | { kind: 'read'; conversationId: string };

const channel = openChannel<TabMessage>('messenger-tabs');

export const postToTabs = channel.post;
export const listenToTabs = channel.listen;
