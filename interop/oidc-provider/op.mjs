// The certified OpenID provider from npm, as a bank would run it: clients prove themselves by keys and certificates, and
// tokens are for one resource, and bound to a key where that is asked for.
//
//   op.mjs RUN RESOURCE...   RUN is the directory with keys and certificates; RESOURCE are the gateway's servers, NAME=URL
//
// Two things are not the package's own, because no browser is here and it has no RFC 8693: a grant that logs a user in,
// and token exchange. Both are at the end. Everything that a client sends is written down in RUN/op.jsonl.
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createHash, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { Provider, errors } from 'oidc-provider';
import { buildTokenResponse } from 'oidc-provider/lib/helpers/grant_response.js';
import validateDpop, { checkDpopReplay } from 'oidc-provider/lib/helpers/validate_dpop.js';
import { compactVerify, createLocalJWKSet, exportJWK, generateKeyPair, importJWK, jwtVerify } from 'jose';

const [run, ...servers] = process.argv.slice(2);
const file = (name) => readFileSync(`${run}/${name}`);
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const LOGIN = 'urn:interop:login';

const signing = await generateKeyPair('ES256', { extractable: true });
const jwk = { ...(await exportJWK(signing.privateKey)), alg: 'ES256', use: 'sig', kid: 'op-1' };
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(signing.publicKey)), alg: 'ES256', kid: 'op-1' }] });

// What a token can be for. Those of the gateway's servers are JWTs, but for one: that server's callers have opaque ones.
const SCOPE = 'backend:read';
const resource = (audience, format = 'jwt') => ({
  audience, scope: SCOPE, accessTokenTTL: 300, accessTokenFormat: format, jwt: { sign: { alg: 'ES256' } },
});
const resources = new Map([['urn:interop:backend', resource('interop-backend')], ['urn:interop:bound', resource('bound-backend')]]);
for (const server of servers) {
  const [name, url] = server.split(/=(.*)/s);
  resources.set(url, resource(url, name === 'opaque' ? 'opaque' : 'jwt'));
}

const publicJwk = (name, kid) => ({ ...createPublicKey(file(name)).export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' });
const certificate = new X509Certificate(file('self-signed.crt'));
const selfSigned = {
  ...certificate.publicKey.export({ format: 'jwk' }),
  x5c: [certificate.raw.toString('base64')],
  'x5t#S256': createHash('sha256').update(certificate.raw).digest('base64url'),
};
const machine = { grant_types: [EXCHANGE], redirect_uris: [], response_types: [] };
// Two keys are known for `signed`: the one in use, and the one that it rotates to.
const signed = { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicJwk('signed.pem', 'k1'), publicJwk('next.pem', 'k2')] } };
const clients = [
  { client_id: 'cli', token_endpoint_auth_method: 'none', ...machine, grant_types: [LOGIN] },
  { client_id: 'signed', ...machine, ...signed },
  { client_id: 'stranger', ...machine, ...signed },
  { client_id: 'bound', ...machine, ...signed, dpop_bound_access_tokens: true },
  { client_id: 'certified', ...machine, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: 'spiffe://interop.example/gateway' },
  { client_id: 'self-signed', ...machine, token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [selfSigned] } },
];

const peer = (ctx) => ctx.socket.getPeerX509Certificate?.();
const account = (id) => ({ accountId: id, claims: () => ({ sub: id }) });
const groups = { alice: ['support'], bob: ['guests'], carol: ['support'], dave: ['support'], erin: ['support'] };

const plain = createServer();
await new Promise((listening) => plain.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${plain.address().port}`;
const tls = createTlsServer({ cert: file('server.crt'), key: file('server.key'), ca: file('ca.crt'), requestCert: true, rejectUnauthorized: false });
await new Promise((listening) => tls.listen(0, '127.0.0.1', listening));
const mtls = `https://localhost:${tls.address().port}`;

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [jwk] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clientAuthMethods: ['none', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
  findAccount: (_, id) => account(id),
  extraTokenClaims: (_, token) => ({ groups: groups[token.accountId] ?? [] }),
  discovery: { mtls_endpoint_aliases: { token_endpoint: `${mtls}/token`, introspection_endpoint: `${mtls}/token/introspection` } },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientAuthMethod !== 'none' },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => peer(ctx)?.toString(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_uri' && (peer(ctx)?.subjectAltName ?? '').split(', ').includes(`URI:${expected}`),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => {
        if (!resources.has(indicator)) throw new errors.InvalidTarget('no such resource');
        return resources.get(indicator);
      },
    },
  },
});

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url'));
const opened = (token) => token && { header: decoded(token.split('.')[0]), claims: decoded(token.split('.')[1]) };
/** Which of the gateway's two keys signed an assertion. */
async function keyOf(assertion) {
  for (const { kid, ...key } of assertion ? signed.jwks.keys : []) {
    if (await compactVerify(assertion, await importJWK(key)).catch(() => false)) return kid;
  }
  return undefined;
}
provider.use(async (ctx, next) => {
  await next();
  const form = ctx.oidc?.body;
  if (!form) return;
  appendFileSync(`${run}/op.jsonl`, `${JSON.stringify({
    path: ctx.path,
    status: ctx.status,
    error: ctx.body?.error,
    said: ctx.body?.error_description,
    client: form.client_id,
    grant: form.grant_type,
    fields: Object.keys(form),
    resource: form.resource,
    authorization: ctx.headers.authorization !== undefined,
    assertion: opened(form.client_assertion),
    key: await keyOf(form.client_assertion),
    proof: opened(ctx.headers.dpop),
    certificate: peer(ctx)?.fingerprint256,
  })}\n`);
});

async function issue(ctx, accountId, gty) {
  const { client, params } = ctx.oidc;
  const info = await resources.get(params.resource);
  if (!info) throw new errors.InvalidTarget('no such resource');
  const token = new provider.AccessToken({ accountId, client, gty });
  token.resourceServer = new provider.ResourceServer(params.resource, info);
  token.scope = params.scope;
  const proof = await validateDpop(provider, ctx);
  if (proof) {
    await checkDpopReplay(provider, ctx, proof, client.clientId);
    token.setThumbprint('jkt', proof.thumbprint);
  } else if (client.dpopBoundAccessTokens) {
    throw new errors.InvalidGrant('a DPoP proof is required');
  }
  const accessToken = await token.save();
  return { accessToken, expiresIn: token.expiration, scope: token.scope, tokenType: token.tokenType };
}

// A user is logged in, with the tool that people use.
provider.registerGrantType(LOGIN, async (ctx) => {
  const { params } = ctx.oidc;
  if (!(params.username in groups)) throw new errors.InvalidGrant('no such user');
  ctx.body = buildTokenResponse(provider, await issue(ctx, params.username, LOGIN));
}, ['username', 'resource', 'scope']);

// RFC 8693, as far as the gateway speaks it: a JWT that this provider issued, into one for another resource.
provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { params } = ctx.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('an access token is wanted');
  let subject = (await provider.AccessToken.find(params.subject_token))?.accountId;
  if (!subject) {
    try {
      ({ payload: { sub: subject } } = await jwtVerify(params.subject_token, keys, { issuer, typ: 'at+jwt' }));
    } catch (cause) {
      throw new errors.InvalidGrant('the subject token is not good', undefined, { cause });
    }
  }
  ctx.body = buildTokenResponse(provider, { ...(await issue(ctx, subject, EXCHANGE)), issuedTokenType: ACCESS_TOKEN });
}, ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'audience', 'scope']);

const answer = provider.callback();
plain.on('request', answer);
tls.on('request', answer);
console.log(`mtls ${mtls}`);
console.log(`listening ${issuer}`);
