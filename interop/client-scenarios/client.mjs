// What the official suite starts as "the client": the gateway in front of the suite's own MCP server, and behind it the
// suite's authorization server. The gateway is the OAuth client that is judged.
//
//   client.mjs SERVER_URL        run by the suite; MCP_CONFORMANCE_SCENARIO and MCP_CONFORMANCE_CONTEXT say what is wanted
//
// What the driver does, and not the gateway: it reads the protected-resource and authorization-server metadata and
// writes the endpoints into the configuration, as whoever runs the gateway does. And the subject tokens of the two
// scenarios that hand one in come from a file (`static`), because the suite's identity provider publishes no keys, so
// that no caller could be believed by them. The caller is a user of our own identity provider.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const server = new URL(process.argv.at(-1));
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';
const { INTEROP_SAFECONDUCT: program, INTEROP_IDP: idp, INTEROP_RUN: run } = process.env;
const dir = `${run}/${scenario.replace('/', '-')}-${revision}`;
mkdirSync(`${dir}/policies`, { recursive: true });

const json = async (url) => {
  const answer = await fetch(url);
  assert.ok(answer.ok, `${url}: HTTP ${answer.status}`);
  return answer.json();
};

async function discovered() {
  const resource = await json(new URL(`/.well-known/oauth-protected-resource${server.pathname}`, server));
  const issuer = new URL(resource.authorization_servers[0]);
  const metadata = await json(new URL(`/.well-known/oauth-authorization-server${issuer.pathname.replace(/\/$/, '')}`, issuer));
  return { resource: resource.resource, issuer: metadata.issuer, token_endpoint: metadata.token_endpoint };
}

async function freeAddress() {
  const probe = createServer();
  await new Promise((listening) => probe.listen(0, '127.0.0.1', listening));
  const { port } = probe.address();
  await new Promise((closed) => probe.close(closed));
  return `127.0.0.1:${port}`;
}

/** Puts what the suite hands in into a file, and gives the reference to it. */
function file(name, text) {
  writeFileSync(`${dir}/${name}`, text, { mode: 0o600 });
  return `file:${dir}/${name}`;
}

/** The clients and the chains of a scenario. The first server is the one that must be reached. */
const scenarios = {
  'auth/client-credentials-basic': ({ token_endpoint, resource }) => ({
    clients: { them: { client_id: context.client_id, auth: 'client_secret_basic', client_secret: file('secret', context.client_secret) } },
    servers: { suite: [{ client_credentials: { token_endpoint, client: 'them', resource } }] },
  }),
  'auth/client-credentials-jwt': ({ token_endpoint, issuer, resource }) => ({
    clients: {
      them: {
        client_id: context.client_id, auth: 'private_key_jwt', private_key: file('key.pem', context.private_key_pem),
        algorithm: context.signing_algorithm, assertion_audience: 'issuer', issuer,
      },
    },
    servers: { suite: [{ client_credentials: { token_endpoint, client: 'them', resource } }] },
  }),
  'auth/enterprise-managed-authorization': ({ token_endpoint, issuer, resource }) => ({
    clients: {
      home: { client_id: context.idp_client_id, auth: 'none' },
      there: { client_id: context.client_id, auth: 'client_secret_basic', client_secret: file('secret', context.client_secret) },
    },
    servers: {
      suite: [
        { static: { secret: file('id-token', context.idp_id_token) } },
        { id_jag: { token_endpoint: context.idp_token_endpoint, client: 'home', audience: issuer, resource } },
        { jwt_bearer: { token_endpoint, client: 'there' } },
      ],
    },
  }),
  'auth/wif-jwt-bearer': ({ token_endpoint }) => {
    const chain = (more) => [
      { static: { secret: file('workload-jwt', context.valid_jwt) } },
      { jwt_bearer: { token_endpoint, client: 'workload', ...more } },
    ];
    return {
      clients: { workload: { client_id: context.client_id, auth: 'none' } },
      servers: { suite: chain({}), rejected: chain({ scopes: ['wif.rejected'] }) },
      // Asked last: after a refusal the suite takes a second question for a retry.
      refused: { rejected: 'SC-C02' },
    };
  },
  'auth/dpop': bound,
  'auth/dpop-nonce': bound,
};

function bound({ token_endpoint, resource }) {
  return {
    clients: { them: { client_id: 'gateway', auth: 'private_key_jwt', private_key: `file:${process.env.INTEROP_KEY}`, dpop: true } },
    servers: { suite: [{ client_credentials: { token_endpoint, client: 'them', resource } }] },
  };
}

async function serve(plan) {
  const [listen, admin] = [await freeAddress(), await freeAddress()];
  const config = {
    listen, admin, public_url: `http://${listen}`,
    issuers: { corp: { issuer: idp, audience: ['mcp-gateway'] } },
    clients: plan.clients,
    servers: Object.fromEntries(Object.entries(plan.servers).map(([name, credential]) => [name, { url: server.href, credential }])),
    policy: 'policies/',
    audit: { file: `${dir}/audit.jsonl` },
  };
  // JSON is YAML.
  writeFileSync(`${dir}/safeconduct.yaml`, JSON.stringify(config, null, 2));
  writeFileSync(`${dir}/policies/all.cedar`, 'permit (principal in Group::"corp/support", action, resource);\n');
  const log = openSync(`${dir}/gateway.log`, 'w');
  const gateway = spawn(program, ['serve', '--config', `${dir}/safeconduct.yaml`], { stdio: ['ignore', log, log] });
  const ended = new Promise((exit) => gateway.once('exit', exit));
  for (let tries = 0; tries < 200; tries += 1) {
    if (gateway.exitCode !== null) break;
    const ready = await fetch(`http://${admin}/readyz`).then((answer) => answer.ok, () => false);
    if (ready) return { url: `http://${listen}`, stop: () => { gateway.kill('SIGTERM'); return ended; } };
    await new Promise((later) => setTimeout(later, 50));
  }
  gateway.kill('SIGKILL');
  throw new Error(`the gateway is not ready:\n${readFileSync(`${dir}/gateway.log`, 'utf8')}`);
}

async function alice() {
  const body = new URLSearchParams({ grant_type: 'password', username: 'alice', password: 'alice-interop' });
  return (await (await fetch(`${idp}/token`, { method: 'POST', body })).json()).access_token;
}

async function call(url, token) {
  const mode = revision === '2026-07-28' ? 'auto' : 'legacy';
  const client = new Client({ name: 'interop-client-scenarios', version: '1' }, { versionNegotiation: { mode } });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  const { tools } = await client.listTools();
  const answer = await client.callTool({ name: tools[0].name, arguments: {} });
  await client.close();
  return answer;
}

const plan = scenarios[scenario](await discovered());
const gateway = await serve(plan);
try {
  const token = await alice();
  assert.ok(token, 'no token of our own identity provider');
  const answer = await call(`${gateway.url}/suite/mcp`, token);
  assert.equal(answer.content[0].text, 'test');
  for (const [name, code] of Object.entries(plan.refused ?? {})) {
    const refused = await call(`${gateway.url}/${name}/mcp`, token).then(() => assert.fail('answered'), (error) => error);
    assert.equal(refused.data?.code, code, String(refused));
  }
} finally {
  await gateway.stop();
}
writeFileSync(`${dir}/held`, '');
