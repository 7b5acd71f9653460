// Asks the same of a server over its standard streams and through the gateway, with the same official client: the
// answers must be the same, field for field, and so must be what the server asks of the client in between.
//   stdio.mjs NAME THROUGH_URL CAPABILITIES CALLS COMMAND...    (JSON: the client's, and [[tool, arguments], ...])
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [name, url, able, calls, program, ...args] = process.argv.slice(2);
const capabilities = JSON.parse(able);

async function connect(transport, mode) {
  const client = new Client({ name: 'interop-stdio', version: '1' }, { capabilities, versionNegotiation: { mode } });
  const asked = [];
  const answer = (method, result) =>
    method.split('/')[0] in capabilities &&
    client.setRequestHandler(method, async ({ params }) => {
      const { _meta, ...rest } = params ?? {};
      asked.push([method, rest]);
      return result;
    });
  answer('sampling/createMessage', { role: 'assistant', model: 'none', content: { type: 'text', text: 'Sampled.' } });
  answer('elicitation/create', { action: 'accept', content: { name: 'Ada' } });
  answer('roots/list', { roots: [{ uri: 'file:///tmp', name: 'tmp' }] });
  // Seen on the wire: the client itself forgets a report that comes together with the answer.
  const reports = [];
  transport.onmessage = ({ method, params }) => {
    if (method === 'notifications/progress') reports.push(params);
  };
  await client.connect(transport);
  return { client, asked, reports };
}

const direct = async (mode) => {
  return connect(new StdioClientTransport({ command: program, args, stderr: 'ignore' }), mode);
};
const through = async (mode) => {
  const headers = { authorization: `Bearer ${process.env.INTEROP_ALICE}` };
  return connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }), mode);
};

/** What a result says beyond what the revisions write differently. */
function plain({ resultType, ttlMs, cacheScope, _meta, ...rest }) {
  return rest;
}

/** Roots are asked for once by a server that holds a session, and in each call by one that does not. */
const questions = (asked) => asked.filter(([method]) => method !== 'roots/list');

/** Everything that the server offers and answers, as data. */
async function picture({ client, asked, reports }) {
  const offered = client.getServerCapabilities();
  // Some servers register tools once they know the client.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const progress = [];
  const seen = {
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    // `execution` is of 2025-11-25 only: the client leaves it out in the other revision.
    tools: (await client.listTools()).tools.map(({ execution, ...tool }) => tool),
    prompts: offered.prompts && (await client.listPrompts()).prompts,
    resources: offered.resources && (await client.listResources()).resources,
    templates: offered.resources && (await client.listResourceTemplates()).resourceTemplates,
    answers: [],
    progress,
  };
  for (const [tool, args] of JSON.parse(calls)) {
    asked.length = reports.length = 0;
    try {
      const answer = plain(await client.callTool({ name: tool, arguments: args }, { onprogress: () => {} }));
      seen.answers.push([tool, answer, questions(asked)]);
    } catch (error) {
      seen.answers.push([tool, { code: error.code, message: error.message }]);
    }
    progress.push(...reports.map(({ progressToken, _meta, ...report }) => [tool, report]));
  }
  const revision = client.getNegotiatedProtocolVersion();
  await client.close();
  return { seen, revision };
}

const expected = await picture(await direct('legacy'));
assert.ok(expected.seen.tools.length > 0);
for (const mode of ['legacy', 'auto']) {
  const { seen, revision } = await picture(await through(mode));
  assert.deepEqual(seen, expected.seen);
  const { tools, answers, progress } = seen;
  const total = answers.reduce((sum, [, , asked]) => sum + (asked?.length ?? 0), 0);
  console.log(
    `ok - ${name}, ${mode} (${revision}): ${tools.length} tools, ${answers.length} calls, ` +
      `${progress.length} progress reports, ${total} questions to the client`,
  );
}
