// An OpenID provider on a free port of this machine, for the tests. It is a certified implementation with its
// development pages, where any name can sign in. Prints its issuer once it accepts requests.
//
// Reads its client from the environment: CLIENT_ID, CLIENT_SECRET, REDIRECT_URI.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

/** The claims about a user, by the name with which they sign in. */
function claimsOf(name) {
  if (name.startsWith('nameless')) return { sub: name };
  return {
    sub: name,
    preferred_username: name,
    name: `${name} of the tests`,
    picture: `https://pictures.example/${name}.png`,
  };
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: process.env.CLIENT_ID,
        client_secret: process.env.CLIENT_SECRET,
        redirect_uris: [process.env.REDIRECT_URI],
      },
    ],
    claims: { openid: ['sub'], profile: ['name', 'picture', 'preferred_username'] },
    cookies: { keys: ['of the tests'] },
    findAccount: (_, name) => ({ accountId: name, claims: () => claimsOf(name) }),
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
