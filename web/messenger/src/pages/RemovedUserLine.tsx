import { useEffect } from 'react';

import { useSession } from '../client/session.ts';

/** Takes the place of the composer when the other user has been removed, and deletes the draft, which is of no use. */
export function RemovedUserLine({ conversationId }: { conversationId: string }) {
  const { drafts } = useSession();
  useEffect(() => drafts.set(conversationId, ''), [drafts, conversationId]);
  return <p className="removed-user">This user has been removed.</p>;
}
