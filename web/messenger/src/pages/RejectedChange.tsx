import type { Change } from '../client/changes.ts';
import { useSession } from '../client/session.ts';
import type { MessageFieldsFragment } from '../generated/graphql.ts';

interface Props {
  message: MessageFieldsFragment;
  change: Change;
  onEditAgain: (messageId: string, text: string) => void;
}

/** Says why an edit or a deletion failed. The message above shows the current text, and this the user's own. */
export function RejectedChange({ message: { id, viewerCanEdit }, change, onEditAgain }: Props) {
  const { changes, outbox } = useSession();

  function sendAsNew(text: string) {
    outbox.add(change.conversationId, text);
    changes.discard(id);
  }

  return (
    <div className="details rejected" role="alert">
      <p>
        <span className="problem">
          {change.kind === 'edit' ? 'Not saved' : 'Not deleted'}: {change.problem}
        </span>
      </p>
      {change.kind === 'edit' && (
        <p>
          Your text: <q dir="auto">{change.content}</q>
        </p>
      )}
      <p>
        {change.kind === 'delete' ? (
          <button type="button" onClick={() => changes.delete(change.conversationId, id)}>
            Try again
          </button>
        ) : viewerCanEdit ? (
          <button type="button" onClick={() => onEditAgain(id, change.content)}>
            Edit again
          </button>
        ) : (
          <button type="button" onClick={() => sendAsNew(change.content)}>
            Send as a new message
          </button>
        )}
        <button type="button" onClick={() => changes.discard(id)}>
          Discard
        </button>
      </p>
    </div>
  );
}
