import { type FormEvent, useEffect, useState } from 'react';

import { execute } from './fetcher';
import { type Answer, errorMessage, failure, postJson, readAnswer } from './http';

/** The ways to sign in, from /auth/providers. */
interface Ways {
  providers: readonly { id: string; name: string; loginUrl: string }[];
  devLogin: boolean;
}

/** Shows who is signed in. Signs in, with a provider or by username for development, and out. */
export function SignInBar() {
  // undefined until the server has answered, null if no user is signed in.
  const [username, setUsername] = useState<string | null>();
  const [ways, setWays] = useState<Ways>();
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);

  async function loadViewer() {
    const answer = await execute({ query: '{ viewer { username } }' });
    const viewer = answer.data?.viewer as { username: string } | null | undefined;
    setUsername(viewer?.username ?? null);
    setProblem(errorMessage(answer));
  }
  async function loadWays() {
    try {
      const response = await fetch('/auth/providers');
      if (response.ok) setWays((await response.json()) as Ways);
      else setProblem(await refusal(response));
    } catch (reason) {
      setProblem(errorMessage(failure(reason)));
    }
  }
  useEffect(() => {
    void loadViewer();
    void loadWays();
  }, []);

  /** Sends a sign-in or sign-out, then fetches the viewer again, as the cookie has changed. */
  async function send(url: string, body: object) {
    setBusy(true);
    try {
      const response = await postJson(url, body);
      if (response.ok) await loadViewer();
      else setProblem(await refusal(response));
    } catch (reason) {
      setProblem(errorMessage(failure(reason)));
    } finally {
      setBusy(false);
    }
  }

  function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get('username');
    void send('/auth/dev/login', { username: String(name).trim() });
  }

  return (
    <header className="sign-in-bar">
      <strong>Messenger API</strong>
      <span role="status">
        {username === undefined
          ? 'Loading…'
          : username === null
            ? 'Not signed in'
            : `Signed in as ${username}`}
      </span>
      {username === null && ways && !ways.devLogin && ways.providers.length === 0 && (
        <span>This server has no sign-in configured. Put a token into the headers below.</span>
      )}
      {username === null &&
        ways?.providers.map(({ id, name, loginUrl }) => (
          <a key={id} href={`${loginUrl}?next=/graphql`}>
            Sign in with {name}
          </a>
        ))}
      {username === null && ways?.devLogin && (
        <form onSubmit={signIn}>
          <label htmlFor="username">Username</label>
          <input
            id="username"
            name="username"
            required
            autoCapitalize="none"
            autoComplete="username"
            spellCheck={false}
            aria-describedby="sign-in-problem"
          />
          <button disabled={busy}>Sign in</button>
        </form>
      )}
      {username && (
        <button disabled={busy} onClick={() => void send('/auth/logout', {})}>
          Sign out
        </button>
      )}
      <span id="sign-in-problem" role="alert">
        {problem}
      </span>
    </header>
  );
}

async function refusal(response: Response): Promise<string> {
  const answer: Answer = await readAnswer(response);
  return errorMessage(answer) ?? `The server answered ${response.status}.`;
}
