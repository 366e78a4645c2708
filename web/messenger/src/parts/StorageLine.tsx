import { useState } from 'react';

import { isDurable } from '../client/storage.ts';
import { useStore } from '../client/store.ts';

/** Warns that this browser does not keep unsent messages and drafts. */
export function StorageLine() {
  const durable = useStore(isDurable);
  const [dismissed, setDismissed] = useState(false);
  function dismiss() {
    setDismissed(true);
    document.getElementById('page')?.focus();
  }
  return (
    <div className="top-line" role="status">
      {!durable && !dismissed && (
        <>
          <p>This browser does not store data for this site. Unsent messages and drafts are lost when you close this tab.</p>
          <button type="button" className="button" onClick={dismiss}>
            OK
          </button>
        </>
      )}
    </div>
  );
}
