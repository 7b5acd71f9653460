// What every client is asked to see through the gateway. The policy is config/local/policies/interop.cedar.
import assert from 'node:assert/strict';

export const url = new URL(process.env.INTEROP_URL);
export const alice = process.env.INTEROP_ALICE;
export const bob = process.env.INTEROP_BOB;

const text = (result) => result.content[0].text;

/** The error that a call ends in; fails when it ends in a result. */
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert.fail('a call that policy denies was answered');
}

/** `connect(token)` gives a connected client of the SDK under test. */
export async function expectPolicyIsKept(name, connect) {
  const client = await connect(alice);
  const { tools } = await client.listTools();
  const names = tools.map((tool) => tool.name).sort();
  assert.deepEqual(names, ['greet', 'test_simple_text', 'whoami'], 'the list is what alice may call');

  const simple = await client.callTool({ name: 'test_simple_text', arguments: {} });
  assert.equal(text(simple), 'This is a simple text response for testing.');

  const seen = JSON.parse(text(await client.callTool({ name: 'whoami', arguments: {} })));
  assert.equal(seen.aud, 'interop-backend', 'the backend saw a token of its own');
  assert.equal(seen.azp, 'safeconduct', 'that the gateway got');
  assert.equal(seen.sub, 'alice', 'for the caller');

  const greeted = await client.callTool({ name: 'greet', arguments: { name: 'Ada' } });
  assert.equal(text(greeted), 'Hello, Ada!');

  const byArgument = await refusal(() => client.callTool({ name: 'greet', arguments: { name: 'Mallory' } }));
  assert.equal(byArgument.code, -31403, `the policy's own code, not ${byArgument}`);
  assert.match(byArgument.data.code, /^SC-/);

  const hidden = await refusal(() => client.callTool({ name: 'delete_everything', arguments: {} }));
  assert.equal(hidden.code, -32602, `a hidden tool is an unknown tool, not ${hidden}`);
  await client.close();

  const guest = await connect(bob);
  assert.deepEqual((await guest.listTools()).tools, [], 'a guest is shown nothing');
  const denied = await refusal(() => guest.callTool({ name: 'whoami', arguments: {} }));
  assert.ok([-31403, -32602].includes(denied.code), `denied by policy, not ${denied}`);
  await guest.close();
  console.log(`ok - ${name}`);
}
