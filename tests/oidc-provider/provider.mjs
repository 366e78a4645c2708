// An OpenID provider on a free port of this machine, for the tests: a certified one's code with its own
// development pages, where anybody signs in by name. Prints its issuer once it answers.
//
// Reads its client from the environment: CLIENT_ID, CLIENT_SECRET, REDIRECT_URI.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

/** What it tells of somebody, by the name they sign in with. */
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
