// The authorization server of the tests: oidc-provider, a certified one, as a process of its own on loopback.
//
// Lines of JSON come on standard input, and each is answered by one line on standard output. The first says
// what the server is; later ones give it other keys, or ask what it was asked. The end of input ends it.
//
//   {"port": 0, "path": "", "keys": [JWK…], "clients": [metadata…], "resources": {INDICATOR: {audience,
//    format, algorithm, secret, ttl, scope}}, "users": {NAME: claims}, "introspector": CLIENT}
//                                                                                   -> {"issuer": "http://…"}
//   {"keys": [JWK…]}                                                                -> {"kids": [KID…]}
//   {"asked": true}                                                                 -> {"GET /jwks": 2, …}

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider, { errors } from 'oidc-provider';

const COOKIE_KEYS = ['a key for the cookies of tests'];
const INSERTED = '/.well-known/oauth-authorization-server'; // RFC 8414 §3.1: before the issuer's path
const HOUR = 3600;

const asked = new Map();
let terms;
let issuer;
let answer;

/** A resource server that tokens are for (RFC 8707), and what its access tokens look like. */
function resourceServer(_ctx, indicator) {
  const told = terms.resources[indicator];
  if (!told) throw new errors.InvalidTarget();
  const { audience, format, algorithm, secret, ttl, scope } = told;
  return {
    audience,
    scope,
    accessTokenFormat: format,
    accessTokenTTL: ttl,
    jwt: format === 'jwt' ? { sign: { alg: algorithm, key: secret && Buffer.from(secret) } } : undefined,
  };
}

function account(_ctx, name) {
  if (!terms.users[name]) return undefined;
  return { accountId: name, claims: () => ({ sub: name, ...terms.users[name] }) };
}

/** A provider with these signing keys; the first that fits an algorithm signs, all are published. */
function providerWith(keys) {
  const provider = new Provider(issuer, {
    clients: terms.clients,
    jwks: { keys },
    cookies: { keys: COOKIE_KEYS },
    findAccount: account,
    extraTokenClaims: (_ctx, token) => terms.users[token.accountId],
    scopes: ['openid'],
    pkce: { required: () => true },
    conformIdTokenClaims: true,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === terms.introspector },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: resourceServer,
        useGrantedResource: () => true,
      },
    },
    ttl: {
      AuthorizationCode: 60,
      Grant: HOUR,
      IdToken: HOUR,
      Interaction: HOUR,
      Session: HOUR,
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider.callback();
}

function serve(request, response) {
  const [path] = request.url.split('?');
  const key = `${request.method} ${path}`;
  asked.set(key, (asked.get(key) ?? 0) + 1);
  if (terms.path) {
    if (path === INSERTED + terms.path) request.url = terms.path + INSERTED;
    if (!request.url.startsWith(`${terms.path}/`)) return response.writeHead(404).end();
    request.originalUrl = request.url;
    request.url = request.url.slice(terms.path.length);
  }
  return answer(request, response);
}

function say(told) {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

async function begin() {
  const server = createServer(serve);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(terms.port, '127.0.0.1', resolve);
  });
  issuer = `http://127.0.0.1:${server.address().port}${terms.path}`;
  answer = providerWith(terms.keys);
  say({ issuer });
}

console.info = console.error; // standard output is for answers

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (!terms) {
    terms = told;
    await begin();
  } else if (told.keys) {
    answer = providerWith(told.keys);
    say({ kids: told.keys.map((key) => key.kid) });
  } else {
    say(Object.fromEntries(asked));
  }
}
process.exit(0);
