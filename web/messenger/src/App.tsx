/** Who is signed in decides what is shown, at every address. */
import { useEffect, useRef, useState } from 'react';
import { Provider } from 'urql';

import { Session, SessionProvider } from './client/session.ts';
import { hearTabs } from './client/tabs.ts';
import { Messenger } from './Messenger.tsx';
import { SignIn } from './pages/SignIn.tsx';

type State =
  | { kind: 'starting' }
  | { kind: 'nobody'; wasSomebody: boolean }
  | { kind: 'somebody'; session: Session; hasSignedIn: boolean };

/** Sessions that end as soon as they begin do not follow one another faster than that. */
const PAUSE_MS = 3000;

export function App() {
  const [state, setState] = useState<State>({ kind: 'starting' });
  const [attempt, setAttempt] = useState({ pause: false });
  const begun = useRef(0);
  const again = () => setAttempt({ pause: false });

  useEffect(() => {
    let session: Session | undefined;
    async function begin() {
      begun.current = performance.now();
      const begins = (session = new Session(() => setAttempt({ pause: true })));
      const somebody = await begins.start();
      if (session !== begins) return;
      if (somebody)
        setState((before) => ({ kind: 'somebody', session: begins, hasSignedIn: before.kind === 'nobody' }));
      else {
        begins.close();
        setState((before) => ({ kind: 'nobody', wasSomebody: before.kind === 'somebody' }));
      }
    }
    const pause = attempt.pause ? begun.current + PAUSE_MS - performance.now() : 0;
    const timer = setTimeout(() => void begin(), pause);
    return () => {
      clearTimeout(timer);
      session?.close();
      session = undefined;
    };
  }, [attempt]);

  // Somebody has signed in in another tab.
  const nobody = state.kind === 'nobody';
  useEffect(() => (nobody ? hearTabs((said) => said.kind === 'viewer' && said.id !== null && again()) : undefined), [nobody]);

  if (state.kind === 'starting')
    return (
      <main className="notice" aria-busy="true">
        <h1 className="visually-hidden">Messenger</h1>
        <p role="status">Connecting…</p>
      </main>
    );
  if (state.kind === 'nobody') return <SignIn wasSomebody={state.wasSomebody} onSignedIn={again} />;
  return (
    // What was shown for one session is not carried over to the next.
    <SessionProvider key={state.session.id} value={state.session}>
      <Provider value={state.session.client}>
        <Messenger hasSignedIn={state.hasSignedIn} onSignedOut={again} />
      </Provider>
    </SessionProvider>
  );
}
