// An MCP server that takes nothing but tokens that are bound to a key, and believes no proof that it has not checked
// (RFC 9449 §4.3, §7): with the provider's keys, and a nonce of its own.
//
//   bound.mjs ISSUER AUDIENCE RECORD
import { appendFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, jwtVerify } from 'jose';

const [issuer, audience, record] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
const NONCE = 'a-nonce-of-this-server';
const seen = new Set();

class Refused extends Error {}
const insist = (holds, why) => {
  if (!holds) throw new Refused(why);
};

async function checked(request, url) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  insist(scheme === 'DPoP' && token, 'not a DPoP authorization');
  const { payload: access } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' });
  const proof = request.headers.dpop;
  insist(proof && !proof.includes(','), 'not one proof');
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256', 'EdDSA'] });
  insist(protectedHeader.jwk.d === undefined, 'a private key in the proof');
  insist((await calculateJwkThumbprint(protectedHeader.jwk)) === access.cnf?.jkt, 'not the key of the token');
  insist(payload.htm === request.method && payload.htu === url, `for another request: ${payload.htm} ${payload.htu}`);
  insist(payload.ath === createHash('sha256').update(token).digest('base64url'), 'for another token');
  insist(Math.abs(Date.now() / 1000 - payload.iat) < 60, 'not of now');
  insist(!seen.has(payload.jti), 'used before');
  seen.add(payload.jti);
  if (payload.nonce !== NONCE) return 'use_dpop_nonce';
  return { sub: access.sub, client: access.client_id };
}

const TOOL = { name: 'whoami', description: 'Who is asking', inputSchema: { type: 'object' } };
const results = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'bound', version: '1' } }),
  'tools/list': () => ({ tools: [TOOL] }),
  'tools/call': (_, who) => ({ content: [{ type: 'text', text: JSON.stringify(who) }] }),
};

const server = createServer(async (request, response) => {
  const body = (await Array.fromAsync(request)).join('');
  const reply = (status, value, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(value === undefined ? '' : JSON.stringify(value));
  };
  let who;
  try {
    who = await checked(request, `http://${request.headers.host}/mcp`);
  } catch (error) {
    appendFileSync(record, `${JSON.stringify({ refused: error.message, headers: request.headers })}\n`);
    return reply(401, undefined, { 'www-authenticate': 'DPoP error="invalid_token"' });
  }
  if (who === 'use_dpop_nonce') {
    appendFileSync(record, `${JSON.stringify({ challenged: true, headers: request.headers })}\n`);
    return reply(401, undefined, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': NONCE });
  }
  appendFileSync(record, `${JSON.stringify({ who, headers: request.headers })}\n`);
  const message = request.method === 'POST' ? JSON.parse(body) : {};
  if (message.id === undefined) return reply(request.method === 'POST' ? 202 : 405);
  const result = results[message.method];
  if (!result) return reply(200, { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no such method' } });
  return reply(200, { jsonrpc: '2.0', id: message.id, result: result(message.params, who) });
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
