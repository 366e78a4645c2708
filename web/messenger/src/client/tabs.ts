/** What the tabs of a browser send each other, in addition to the events of the shared stream. */
import { openChannel } from './channel.ts';

/** Who is signed in. A tab with another user restarts its session. */
interface TabMessage {
  kind: 'viewer';
  id: string | null;
}

const channel = openChannel<TabMessage>('messenger-tabs');

export const postToTabs = channel.post;
export const listenToTabs = channel.listen;
