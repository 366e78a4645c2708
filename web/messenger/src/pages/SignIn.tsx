/** The sign-in page, which is shown at every path and does not change it. */
import { type FormEvent, useEffect, useRef, useState } from 'react';

import { fetchSignInOptions, type Provider, signInAs, type SignInOptions } from '../client/http.ts';
import { backOff } from '../client/waiting.ts';
import { Avatar } from '../parts/Avatar.tsx';

/** Some of the users that `messenger seed` creates. Signing in with a new name creates a user too. */
const PEOPLE = ['john', 'jane', 'ada', 'alan', 'grace', 'linus', 'margaret', 'radia'];

interface Props {
  wasSignedIn: boolean;
  /** The server accepted a sign-in from this page, but the browser did not send its cookie afterwards. */
  cookieIsMissing: boolean;
  onSignedIn: () => void;
}

export function SignIn({ wasSignedIn, cookieIsMissing, onSignedIn }: Props) {
  const ways = useSignInOptions();
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const isPending = useRef(false);
  useEffect(() => void (document.title = 'Sign in · Messenger'), []);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => void (wasSignedIn && heading.current?.focus()), [wasSignedIn]);

  async function enterAs(username: string) {
    // The second click of a double click arrives before the buttons are disabled.
    if (isPending.current) return;
    isPending.current = true;
    setBusy(true);
    const failure = await signInAs(username);
    isPending.current = false;
    setBusy(false);
    setProblem(failure);
    if (!failure) onSignedIn();
  }

  return (
    <main className="sign-in">
      <img src={new URL('../icon.svg', import.meta.url).href} alt="" width="56" height="56" />
      <h1 ref={heading} tabIndex={-1} aria-describedby="state">
        Messenger
      </h1>
      <p id="state" role="status" className="status">
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
                <button type="button" aria-disabled={busy} onClick={() => void enterAs(name)}>
                  <Avatar user={{ id: name, username: name, avatarUrl: null, removedAt: null }} />
                  {name}
                </button>
              </li>
            ))}
          </ul>
          <OtherUser busy={busy} problem={problem} enterAs={enterAs} />
        </section>
      )}
      {ways && !ways.devLogin && ways.providers.length === 0 && (
        <p>This server has no sign-in configured. Its administrator can add one as described in docs/deployment.md.</p>
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

interface OtherUserProps {
  busy: boolean;
  problem: string | undefined;
  enterAs: (username: string) => Promise<void>;
}

function OtherUser({ busy, problem, enterAs }: OtherUserProps) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get('username');
    void enterAs(String(name).trim());
  }
  return (
    <form className="row" onSubmit={submit}>
      <label className="field">
        <span>Another username</span>
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
      <button className="button" aria-disabled={busy}>
        Sign in
      </button>
      <p id="sign-in-problem" className="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}

/** The ways to sign in, requested until the server answers. */
function useSignInOptions(): SignInOptions | undefined {
  const [ways, setWays] = useState<SignInOptions>();
  useEffect(() => {
    const gone = new AbortController();
    async function ask() {
      for (let failures = 1; !gone.signal.aborted; failures++) {
        const found = await fetchSignInOptions().catch(() => undefined);
        if (found) return gone.signal.aborted || setWays(found);
        await backOff(failures, gone.signal);
      }
    }
    void ask();
    return () => gone.abort();
  }, []);
  return ways;
}
