// Asks a server by OpenAI's client for Node and prints what it understood: node openai.mjs NODE_MODULES BASE_URL
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const [modules, baseURL] = process.argv.slice(2);
const { OpenAI } = await import(pathToFileURL(path.join(modules, 'openai', 'index.mjs')));
const client = new OpenAI({ baseURL, apiKey: 'k', maxRetries: 0 });

const messages = [{ role: 'user', content: 'count from a' }];
const greedy = { model: 'plain', messages, temperature: 0, max_tokens: 4 };
const fails = async (what) => {
  try {
    return { none: await what() };
  } catch (e) {
    return { kind: e.constructor.name, status: e.status ?? null, code: e.code ?? null, message: e.message };
  }
};
const all = async (stream) => {
  const events = [];
  for await (const e of stream) events.push(e);
  return events;
};
const text = (chunks) => chunks.map((c) => c.choices[0]?.delta?.content ?? '').join('');
const out = {};

out.models = (await all(client.models.list())).map((m) => m.id);
out.chat = (await client.chat.completions.create(greedy)).choices[0].message.content;
out.choices = (await client.chat.completions.create({ ...greedy, n: 3 })).choices.length;
const chunks = await all(await client.chat.completions.create({ ...greedy, stream: true, stream_options: { include_usage: true } }));
out.streamed = text(chunks);
out.usage = chunks.at(-1).usage.total_tokens;
out.waited = text(await all(await client.chat.completions.create({ model: 'slow', messages, stream: true })));
out.completion = (await client.completions.create({ model: 'plain', prompt: 'a', temperature: 0, max_tokens: 3 })).choices[0].text;

const parameters = { type: 'object', properties: { city: { type: 'string' } } };
const tools = [{ type: 'function', function: { name: 'weather', description: 'tells it', parameters } }];
const helper = client.chat.completions.stream({ model: 'tools', messages, tools, tool_choice: 'required' });
const called = (await helper.finalChatCompletion()).choices[0].message; // put together from the stream
out.calls = called.tool_calls.map((c) => c.function.arguments);
const results = called.tool_calls.map((c, i) => ({ role: 'tool', tool_call_id: c.id, content: `result ${i}` }));
out.results = (await client.chat.completions.create({ model: 'tools', messages: [...messages, called, ...results], tools })).choices[0].message.content;

const flat = [{ type: 'function', name: 'weather', parameters, strict: false }];
const ask = { model: 'tools', input: 'the weather?', tools: flat };
const response = await client.responses.stream(ask).finalResponse(); // the client checks the order of events
const items = response.output.filter((i) => i.type === 'function_call');
out.responseText = response.output_text;
out.responseCalls = items.map((i) => i.arguments);
const outputs = items.map((i, k) => ({ type: 'function_call_output', call_id: i.call_id, output: `result ${k}` }));
out.responseResults = (await client.responses.create({ ...ask, input: [{ role: 'user', content: 'the weather?' }, ...response.output, ...outputs] })).output_text;

const blocked = (await client.chat.completions.create({ model: 'blocked', messages })).choices[0];
out.refusal = [blocked.message.content, blocked.message.refusal, blocked.finish_reason];
const refused = await client.responses.stream({ model: 'blocked', input: 'a' }).finalResponse();
out.responseRefusal = [refused.status, refused.incomplete_details.reason, refused.output[0].content[0].refusal];

const held = await client.responses.create({ model: 'held', input: 'a' });
const before = await client.responses.retrieve(held.id);
const after = await client.responses.retrieve(held.id); // somebody has decided in between
out.held = [held.status, held.output.length, before.status, after.status, after.output_text];

out.unknown = await fails(() => client.chat.completions.create({ model: 'gpt-9', messages }));
out.limited = await fails(() => client.chat.completions.create({ model: 'limited', messages }));
out.late = await fails(async () => all(await client.chat.completions.create({ model: 'late', messages, stream: true })));
out.responseLate = await fails(async () => all(await client.responses.create({ model: 'late', input: 'a', stream: true })));
out.bad = await fails(() => client.chat.completions.create({ ...greedy, n: 0 }));

console.log(JSON.stringify(out));
