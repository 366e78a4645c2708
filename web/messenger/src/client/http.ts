/** The endpoints under /auth. The session is in a cookie that scripts cannot read. */

export interface Provider {
  id: string;
  name: string;
  loginUrl: string;
}

export interface SignInOptions {
  providers: Provider[];
  devLogin: boolean;
}

export async function fetchSignInOptions(): Promise<SignInOptions> {
  const response = await fetch('/auth/providers');
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return (await response.json()) as SignInOptions;
}

/** Signs in by username, for development; returns an error message if it fails. */
export function signInAs(username: string): Promise<string | undefined> {
  return post('/auth/dev/login', { username });
}

export function signOut(): Promise<string | undefined> {
  return post('/auth/logout', {});
}

async function post(url: string, body: object): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    // Signing out succeeds if the session has already ended.
    if (response.ok || (url === '/auth/logout' && response.status === 401)) return undefined;
    const answer = (await response.json()) as { error?: { message?: string } };
    return answer.error?.message ?? `The server answered ${response.status}.`;
  } catch {
    return 'The server cannot be reached.';
  }
}
