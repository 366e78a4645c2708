/** Shows the sign-in page or the messenger, at every path, depending on whether a user is signed in. */
import { useEffect, useRef, useState } from 'react';
import { Provider } from 'urql';

import { Session, SessionProvider, type Start } from './client/session.ts';
import { listenToTabs } from './client/tabs.ts';
import { backOff } from './client/waiting.ts';
import { Messenger } from './Messenger.tsx';
import { SignIn } from './pages/SignIn.tsx';
import { CannotStart, Starting } from './pages/Starting.tsx';

type State =
  | { kind: 'starting' }
  | { kind: 'failed'; problem: string }
  | { kind: 'signed out'; wasSignedIn: boolean; cookieIsMissing: boolean }
  | { kind: 'signed in'; session: Session; hasSignedIn: boolean };

interface Attempt {
  /** Wait before starting, in case sessions end as soon as they start. */
  pauses?: boolean;
  /** The server has just accepted a sign-in from this page. */
  afterSignIn?: boolean;
}

const PAUSE_MS = 3000;

export function App() {
  const [state, setState] = useState<State>({ kind: 'starting' });
  const [attempt, setAttempt] = useState<Attempt>({});
  const begun = useRef(0);
  const again = () => setAttempt({});

  useEffect(() => {
    let session: Session | undefined;
    const stopped = new AbortController();
    async function begin() {
      for (let failures = 1; !stopped.signal.aborted; failures++) {
        begun.current = performance.now();
        const begins = (session = new Session(() => setAttempt({ pauses: true })));
        const start = await begins.start().catch(failed);
        if (stopped.signal.aborted) return;
        setState((before) => after(before, begins, start, attempt));
        if (start.kind === 'signed in') return;
        begins.close();
        if (start.kind === 'signed out') return;
        await backOff(failures, stopped.signal);
      }
    }
    const pause = attempt.pauses ? begun.current + PAUSE_MS - performance.now() : 0;
    const timer = setTimeout(() => void begin(), pause);
    return () => {
      clearTimeout(timer);
      stopped.abort();
      session?.close();
    };
  }, [attempt]);

  // Start again when a user signs in in another tab.
  const waits = state.kind === 'signed out' || state.kind === 'failed';
  useEffect(() => {
    if (!waits) return undefined;
    return listenToTabs(({ kind, id }) => kind === 'viewer' && id !== null && again());
  }, [waits]);

  if (state.kind === 'starting') return <Starting />;
  if (state.kind === 'failed') return <CannotStart problem={state.problem} tryAgain={again} />;
  if (state.kind === 'signed out')
    return (
      <SignIn
        wasSignedIn={state.wasSignedIn}
        cookieIsMissing={state.cookieIsMissing}
        onSignedIn={() => setAttempt({ afterSignIn: true })}
      />
    );
  return (
    // The key discards the components' state when another session starts.
    <SessionProvider key={state.session.id} value={state.session}>
      <Provider value={state.session.client}>
        <Messenger hasSignedIn={state.hasSignedIn} onSignedOut={again} />
      </Provider>
    </SessionProvider>
  );
}

function after(before: State, session: Session, start: Start, attempt: Attempt): State {
  if (start.kind === 'signed in')
    return { kind: 'signed in', session, hasSignedIn: before.kind === 'signed out' };
  if (start.kind === 'signed out') {
    const wasSignedIn = before.kind === 'signed in' || (before.kind === 'signed out' && before.wasSignedIn);
    return { kind: 'signed out', wasSignedIn, cookieIsMissing: attempt.afterSignIn ?? false };
  }
  if (before.kind === 'signed in' && start.isTemporary) {
    // Keep showing the page, with what the user has typed, until the next session starts.
    before.session.connected.set(false);
    return before;
  }
  return { kind: 'failed', problem: start.problem };
}

function failed(reason: unknown): Start {
  console.error(reason);
  return { kind: 'failed', problem: String(reason), isTemporary: false };
}
