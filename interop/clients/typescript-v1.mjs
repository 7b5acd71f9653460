// The TypeScript SDK, version 1 (@modelcontextprotocol/sdk): the legacy era.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expectPolicyIsKept, url } from './expect.mjs';

await expectPolicyIsKept('TypeScript SDK v1', async (token) => {
  const client = new Client({ name: 'interop-typescript-v1', version: '1' });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
  return client;
});
