// Calls tools through the gateway and looks at what the provider and the servers behind were shown.
//
//   drive.mjs RUN ISSUER GATEWAY ADMIN
//
// Prints a line for everything that holds and ends with `N passed, M failed`.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [run, issuer, gateway, admin] = process.argv.slice(2);
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const tokens = [];
let passed = 0;
let failed = 0;

async function check(what, holds) {
  try {
    await holds();
    passed += 1;
    console.log(`ok - ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED - ${what}\n${error.stack}`);
  }
}

const lines = (name) => {
  const text = readFileSync(`${run}/${name}`, 'utf8');
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
};
/** What the provider was asked by a client, since `from` lines. */
const asked = (client, from = 0) => lines('op.jsonl').slice(from).filter((one) => one.client === client);
const mark = () => lines('op.jsonl').length;
const fingerprint = (name) => new X509Certificate(readFileSync(`${run}/${name}`)).fingerprint256;
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

async function logIn(user, server) {
  const body = new URLSearchParams({
    grant_type: 'urn:interop:login', client_id: 'cli', username: user, resource: `${gateway}/${server}/mcp`, scope: 'backend:read',
  });
  const answer = await (await fetch(`${issuer}/token`, { method: 'POST', body })).json();
  assert.ok(answer.access_token, JSON.stringify(answer));
  tokens.push(answer.access_token);
  return answer.access_token;
}

async function connected(server, token) {
  const client = new Client({ name: 'interop-oidc-provider', version: '1' }, { versionNegotiation: { mode: 'legacy' } });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${gateway}/${server}/mcp`), { requestInit }));
  return client;
}

/** What the server behind saw of the caller. */
async function whoami(user, server) {
  const client = await connected(server, await logIn(user, server));
  try {
    return JSON.parse((await client.callTool({ name: 'whoami', arguments: {} })).content[0].text);
  } finally {
    await client.close();
  }
}

/** The gateway's code for a call that it refuses: before the session, or in it. */
async function refusal(user, server) {
  try {
    await whoami(user, server);
  } catch (error) {
    const code = error.data?.code ?? /SC-[A-Z]\d+/.exec(JSON.stringify(error.data ?? '') + error.message)?.[0];
    return code ?? assert.fail(`no code in ${error}`);
  }
  return assert.fail('a call that must fail was answered');
}

/** Puts a file in place as a rotating program does: whole. */
function replace(name, by) {
  copyFileSync(`${run}/${by}`, `${run}/.fresh`);
  renameSync(`${run}/.fresh`, `${run}/${name}`);
}

async function until(what, holds) {
  const end = Date.now() + 10_000;
  while (Date.now() < end) {
    if (await holds()) return;
    await new Promise((later) => setTimeout(later, 50));
  }
  assert.fail(`waited ten seconds for ${what}`);
}

const backendToken = (seen, client, user) => {
  assert.equal(seen.aud, 'interop-backend');
  assert.equal(seen.client_id, client);
  assert.equal(seen.sub, user);
  assert.equal(seen.iss, issuer);
  assert.equal(seen.scope, 'backend:read');
};

// Resource indicators, at the door and behind it.
await check('a token for one server of the gateway is not taken by another', async () => {
  const token = await logIn('alice', 'signed');
  assert.equal(claims(token).aud, `${gateway}/signed/mcp`);
  await (await connected('signed', token)).close();
  const other = await fetch(`${gateway}/certified/mcp`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  });
  assert.equal(other.status, 401);
});
await check('a resource that the provider does not know is denied, and the provider was asked for it', async () => {
  assert.equal(await refusal('alice', 'elsewhere'), 'SC-C02');
  assert.ok(lines('op.jsonl').some((one) => one.error === 'invalid_target' && one.resource === 'urn:interop:nowhere'));
});

// private_key_jwt
await check('private_key_jwt: the backend gets a token of its own', async () => backendToken(await whoami('alice', 'signed'), 'signed', 'alice'));
await check('private_key_jwt: the assertion says what RFC 7523 wants', () => {
  const [one] = asked('signed').filter((line) => line.status === 200);
  const { header, claims: said } = one.assertion;
  assert.deepEqual([header.alg, said.iss, said.sub, said.aud], ['ES256', 'signed', 'signed', `${issuer}/token`]);
  assert.ok(said.exp - said.iat <= 300 && said.jti.length >= 16);
  assert.equal(one.grant, EXCHANGE);
  assert.equal(one.resource, 'urn:interop:backend');
  assert.ok(!one.authorization && !one.fields.includes('client_secret'));
});
await check('private_key_jwt: a key that the provider does not know is the gateway\'s fault', async () => {
  assert.equal(await refusal('alice', 'stranger'), 'SC-C05');
});
await check('private_key_jwt: a key that is replaced on disk signs the next assertion', async () => {
  const from = mark();
  replace('gateway.pem', 'next.pem');
  backendToken(await whoami('carol', 'signed'), 'signed', 'carol');
  const keys = asked('signed', from).filter((one) => one.grant === EXCHANGE).map((one) => one.key);
  assert.deepEqual(keys, ['k2']);
});

// tls_client_auth
await check('tls_client_auth: the backend gets a token of its own', async () => backendToken(await whoami('alice', 'certified'), 'certified', 'alice'));
await check('tls_client_auth: the certificate was shown, at the address that the metadata names', () => {
  const [one] = asked('certified').filter((line) => line.grant === EXCHANGE);
  assert.equal(one.status, 200);
  assert.equal(one.certificate, fingerprint('first.crt'));
  assert.equal(one.assertion, undefined);
});
await check('tls_client_auth: a certificate that is replaced on disk is shown next', async () => {
  const from = mark();
  replace('gateway.key', 'second.key');
  replace('gateway.crt', 'second.crt');
  backendToken(await whoami('carol', 'certified'), 'certified', 'carol');
  const [one] = asked('certified', from).filter((line) => line.grant === EXCHANGE);
  assert.equal(one.certificate, fingerprint('second.crt'));
});
await check('self_signed_tls_client_auth: the backend gets a token of its own', async () => {
  backendToken(await whoami('alice', 'self-signed'), 'self-signed', 'alice');
  const [one] = asked('self-signed').filter((line) => line.grant === EXCHANGE);
  assert.equal(one.certificate, fingerprint('self-signed.crt'));
});

// Introspection
await check('introspection by tls_client_auth: an opaque token is believed, and its caller known', async () => {
  const from = mark();
  backendToken(await whoami('alice', 'opaque'), 'signed', 'alice');
  assert.ok(!tokens.at(-1).includes('.'), 'the token is opaque');
  const questions = lines('op.jsonl').slice(from).filter((one) => one.path === '/token/introspection');
  assert.ok(questions.length > 0);
  for (const one of questions) {
    assert.deepEqual([one.client, one.status, one.certificate], ['certified', 200, fingerprint('second.crt')]);
  }
});
await check('introspection by private_key_jwt, after a reload', async () => {
  const config = `${run}/safeconduct.yaml`;
  const generation = async () => (await (await fetch(`${admin}/status`)).json()).reload.generation;
  const before = await generation();
  writeFileSync(config, readFileSync(config, 'utf8').replace('client: certified, cache', 'client: signed, cache'));
  await until('the reload', async () => (await generation()) > before);
  const from = mark();
  backendToken(await whoami('carol', 'opaque'), 'signed', 'carol');
  const questions = lines('op.jsonl').slice(from).filter((one) => one.path === '/token/introspection');
  assert.ok(questions.length > 0);
  for (const one of questions) {
    assert.deepEqual([one.client, one.status, one.key, one.proof], ['signed', 200, 'k2', undefined]);
  }
});
await check('introspection: a token that the provider does not know is refused', async () => {
  const answer = await fetch(`${gateway}/opaque/mcp`, {
    method: 'POST',
    headers: { authorization: 'Bearer never-issued', 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  });
  assert.equal(answer.status, 401);
});

// DPoP
await check('DPoP: a server that checks every proof answers', async () => {
  assert.deepEqual(await whoami('alice', 'bound'), { sub: 'alice', client: 'bound' });
});
await check('DPoP: the provider wanted a nonce, and was asked once more with it', () => {
  const exchanges = asked('bound').filter((one) => one.grant === EXCHANGE);
  assert.deepEqual(exchanges.map((one) => [one.status, one.error]), [[400, 'use_dpop_nonce'], [200, undefined]]);
  const [first, second] = exchanges.map((one) => one.proof.claims);
  assert.equal(first.nonce, undefined);
  assert.ok(second.nonce);
  assert.deepEqual([second.htm, second.htu], ['POST', `${issuer}/token`]);
  assert.notEqual(first.jti, second.jti);
  assert.notEqual(exchanges[0].assertion.claims.jti, exchanges[1].assertion.claims.jti);
});
await check('DPoP: the server wanted a nonce of its own once, and refused nothing', () => {
  const requests = lines('bound.jsonl');
  assert.equal(requests.filter((one) => one.challenged).length, 1);
  assert.equal(requests.filter((one) => one.refused).length, 0);
  assert.ok(requests.filter((one) => one.who).length >= 3);
});

// Everybody
await check('the other group may do nothing, by any method', async () => {
  for (const server of ['signed', 'certified', 'bound']) {
    const client = await connected(server, await logIn('bob', server));
    assert.deepEqual((await client.listTools()).tools, []);
    await assert.rejects(client.callTool({ name: 'whoami', arguments: {} }));
    await client.close();
  }
});
await check('no assertion and no proof was sent twice', () => {
  const all = lines('op.jsonl').flatMap((one) => [one.assertion?.claims.jti, one.proof?.claims.jti]).filter(Boolean);
  assert.ok(all.length > 8);
  assert.equal(new Set(all).size, all.length);
});
await check('a certificate of somebody else is the gateway\'s fault', async () => {
  replace('gateway.key', 'intruder.key');
  replace('gateway.crt', 'intruder.crt');
  assert.equal(await refusal('dave', 'certified'), 'SC-C05');
});
await check('no byte of a user\'s token is behind the gateway, in its audit file or in its log', () => {
  for (const name of ['backend.jsonl', 'bound.jsonl', 'audit.jsonl', 'gateway.log']) {
    const text = readFileSync(`${run}/${name}`, 'utf8');
    for (const token of tokens) assert.ok(!text.includes(token) && !text.includes(token.split('.').at(-1)), name);
  }
});
await check('no key, and nothing that proves one, is in the audit file or in the log', () => {
  for (const name of ['audit.jsonl', 'gateway.log']) {
    const text = readFileSync(`${run}/${name}`, 'utf8');
    assert.ok(text.length > 0);
    assert.ok(!text.includes('PRIVATE KEY') && !text.includes('eyJ'), name);
  }
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
