// The TypeScript SDK, version 2 (@modelcontextprotocol/client), once in each era.
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { expectPolicyIsKept, url } from './expect.mjs';

for (const [mode, revision] of [['auto', '2026-07-28'], ['legacy', '2025-11-25']]) {
  await expectPolicyIsKept(`TypeScript SDK v2, ${mode}`, async (token) => {
    const client = new Client({ name: 'interop-typescript-v2', version: '1' }, { versionNegotiation: { mode } });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    const transport = new StreamableHTTPClientTransport(url, { requestInit });
    await client.connect(transport);
    assert.equal(client.getNegotiatedProtocolVersion(), revision);
    return client;
  });
}
