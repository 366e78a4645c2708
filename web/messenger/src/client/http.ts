/** The endpoints under /auth. Who is signed in is in a cookie that no script can read. */

export interface Provider {
  id: string;
  name: string;
  loginUrl: string;
}

export interface WaysIn {
  providers: Provider[];
  devLogin: boolean;
}

export async function waysIn(): Promise<WaysIn> {
  const response = await fetch('/auth/providers');
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return (await response.json()) as WaysIn;
}

/** Signs in by name alone, for development; returns why it did not work. */
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
    // Somebody who is signed out already is where they want to be.
    if (response.ok || (url === '/auth/logout' && response.status === 401)) return undefined;
    const answer = (await response.json()) as { error?: { message?: string } };
    return answer.error?.message ?? `The server answered ${response.status}.`;
  } catch {
    return 'The server cannot be reached.';
  }
}
