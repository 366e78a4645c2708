/** What somebody sees whom the server does not know, at every address: they stay there once they are signed in. */
import { type FormEvent, useEffect, useRef, useState } from 'react';

import { type Provider, signInAs, type WaysIn, waysIn } from '../client/http.ts';
import { backOff } from '../client/waiting.ts';
import { Avatar } from '../parts/Avatar.tsx';

/** Those whom `messenger seed` makes; to sign in with a name that nobody has makes somebody. */
const PEOPLE = ['john', 'jane', 'ada', 'alan', 'grace', 'linus', 'margaret', 'radia'];

interface Props {
  wasSignedIn: boolean;
  /** The server has accepted a sign-in from here, and the next request came without its cookie. */
  cookieIsMissing: boolean;
  onSignedIn: () => void;
}

export function SignIn({ wasSignedIn, cookieIsMissing, onSignedIn }: Props) {
  const ways = useWaysIn();
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const isUnderWay = useRef(false);
  useEffect(() => void (document.title = 'Sign in · Messenger'), []);

  async function enterAs(username: string) {
    // The second click of a double click comes before the buttons are disabled.
    if (isUnderWay.current) return;
    isUnderWay.current = true;
    setBusy(true);
    const refused = await signInAs(username);
    isUnderWay.current = false;
    setBusy(false);
    setProblem(refused);
    if (!refused) onSignedIn();
  }

  return (
    <main className="sign-in">
      <img className="logo" src={new URL('../icon.svg', import.meta.url).href} alt="" width="56" height="56" />
      <h1>Messenger</h1>
      <p role="status" className="status">
        {cookieIsMissing ? '' : wasSignedIn ? 'You have been signed out.' : ways ? '' : 'Connecting…'}
      </p>
      {(cookieIsMissing || !navigator.cookieEnabled) && (
        <p role="alert" className="problem">
          {cookieIsMissing && 'You are still signed out, because your browser did not keep the sign-in cookie. '}
          Allow cookies for {location.host} in the settings of your browser, then sign in again.
        </p>
      )}
      {ways?.providers.map((provider) => <ProviderLink key={provider.id} provider={provider} />)}
      {ways?.devLogin && (
        <section aria-labelledby="by-name">
          <h2 id="by-name">{ways.providers.length ? 'For development: sign in as' : 'Sign in as'}</h2>
          <ul className="people">
            {PEOPLE.map((name) => (
              <li key={name}>
                <button type="button" disabled={busy} onClick={() => void enterAs(name)}>
                  <Avatar user={{ id: name, username: name, avatarUrl: null }} />
                  {name}
                </button>
              </li>
            ))}
          </ul>
          <SomebodyElse busy={busy} problem={problem} enterAs={enterAs} />
        </section>
      )}
      {ways && !ways.devLogin && ways.providers.length === 0 && (
        <p>No way to sign in is set up on this server. Its operator can add one as docs/deployment.md describes.</p>
      )}
    </main>
  );
}

function ProviderLink({ provider }: { provider: Provider }) {
  const address = `${provider.loginUrl}?${new URLSearchParams({ next: location.pathname })}`;
  return (
    <a className="button primary" href={address}>
      Sign in with {provider.name}
    </a>
  );
}

interface SomebodyElseProps {
  busy: boolean;
  problem: string | undefined;
  enterAs: (username: string) => Promise<void>;
}

function SomebodyElse({ busy, problem, enterAs }: SomebodyElseProps) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get('username');
    void enterAs(String(name).trim());
  }
  return (
    <form className="row" onSubmit={submit}>
      <label className="field">
        <span>Somebody else</span>
        <input
          name="username"
          required
          maxLength={39}
          autoCapitalize="none"
          autoComplete="username"
          spellCheck={false}
          aria-describedby="sign-in-problem"
        />
      </label>
      <button className="button" disabled={busy}>
        Sign in
      </button>
      <p id="sign-in-problem" className="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}

/** Which ways in the server offers; asked until it answers. */
function useWaysIn(): WaysIn | undefined {
  const [ways, setWays] = useState<WaysIn>();
  useEffect(() => {
    const gone = new AbortController();
    async function ask() {
      for (let failures = 1; !gone.signal.aborted; failures++) {
        const found = await waysIn().catch(() => undefined);
        if (found) return gone.signal.aborted || setWays(found);
        await backOff(failures, gone.signal);
      }
    }
    void ask();
    return () => gone.abort();
  }, []);
  return ways;
}
