/** Shown until the viewer is known, or why the viewer cannot be fetched. */
import { useEffect } from 'react';

export function Starting() {
  return (
    <main className="notice" aria-busy="true">
      <h1 className="visually-hidden">Messenger</h1>
      <p role="status">Connecting…</p>
    </main>
  );
}

export function CannotStart({ problem, tryAgain }: { problem: string; tryAgain: () => void }) {
  useEffect(() => void (document.title = 'Messenger'), []);
  return (
    <main className="notice">
      <h1>Your conversations cannot be loaded</h1>
      <p role="alert">{problem}</p>
      <p role="status">Trying again…</p>
      <p>
        <button type="button" className="button" onClick={tryAgain}>
          Try again now
        </button>
      </p>
    </main>
  );
}
