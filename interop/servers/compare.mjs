// Asks the same of a server direct and through the gateway, with the same official client: the answers
// must be the same, field for field.
//   compare.mjs NAME DIRECT_URL THROUGH_URL CALLS    (CALLS: JSON, [[tool, arguments], ...])
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [name, directUrl, throughUrl, calls] = process.argv.slice(2);

async function connect(url, mode, token) {
  const client = new Client({ name: 'interop-compare', version: '1' }, { versionNegotiation: { mode } });
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

/** Everything that the server offers and answers, as data. */
async function picture(client) {
  const progress = [];
  const offered = client.getServerCapabilities();
  const seen = {
    revision: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    capabilities: offered,
    instructions: client.getInstructions(),
    tools: (await client.listTools()).tools,
    prompts: offered.prompts && (await client.listPrompts()).prompts,
    resources: offered.resources && (await client.listResources()).resources,
    templates: offered.resources && (await client.listResourceTemplates()).resourceTemplates,
    answers: [],
    progress,
  };
  if (seen.resources?.length) seen.read = await client.readResource({ uri: seen.resources[0].uri });
  for (const [tool, args] of JSON.parse(calls)) {
    const onprogress = (step) => progress.push([tool, step]);
    try {
      seen.answers.push(await client.callTool({ name: tool, arguments: args }, { onprogress }));
    } catch (error) {
      seen.answers.push({ code: error.code, message: error.message });
    }
  }
  await client.close();
  return seen;
}

for (const mode of ['auto', 'legacy']) {
  const direct = await picture(await connect(directUrl, mode));
  const through = await picture(await connect(throughUrl, mode, process.env.INTEROP_ALICE));
  assert.deepEqual(through, direct);
  assert.ok(direct.tools.length > 0);
  const { tools, answers, progress, revision } = direct;
  console.log(
    `ok - ${name}, ${mode} (${revision}): ${tools.length} tools, ${answers.length} calls, ${progress.length} progress reports`,
  );
}
