/** What the tabs of a browser send each other, in addition to the events of the shared stream. */
import { openChannel } from './channel.ts';

/**
 * `viewer`: who is signed in; a tab with another user restarts its session. `signed out`: this user has signed out, so
 * that other tabs forget what they have not sent.
 */
type TabMessage = { kind: 'viewer'; id: string | null } | { kind: 'signed out'; id: string };

const channel = openChannel<TabMessage>('messenger-tabs');

export const postToTabs = channel.post;
export const listenToTabs = channel.listen;
