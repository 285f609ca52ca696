import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePlan } from '../../../compiler/bundle.ts';
import { defaultResources, onePerComponent, type Problem } from '../../../compiler/contracts/index.ts';
import { missingFromSdk } from '../../../compiler/frontends/openai-agents/sdk.ts';
import { openaiAgents } from '../../../compiler/frontends/openai-agents.ts';
import { readWorkflow } from '../../../compiler/frontends/read-workflow.ts';
import { typescript } from '../../../compiler/frontends/typescript.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { planRequest } from '../support.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/workflows');
const frontends = [typescript, openaiAgents];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-openai-'));
  // The package is found as a user's own would be.
  await symlink(join(import.meta.dirname, '../../../node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function read(body: string) {
  const name = `agents-${++files}.ts`;
  await writeFile(
    join(folder, name),
    `import { Agent, hostedMcpTool, MCPServerStdio, tool, webSearchTool } from '@openai/agents';\n${body}`,
  );
  return readWorkflow({ specifier: `./${name}#entry`, folder, frontends, boundModels: ['main', 'gpt-4-1', 'default'] });
}
const messages = (problems: readonly Problem[]) => problems.map(({ severity, code, message }) => `${severity} ${code} ${message}`);

describe('reading agents of the OpenAI Agents SDK', () => {
  it('finds every agent, whom it passes work to, and what its functions do', async () => {
    const { workflow, problems } = await readWorkflow({ specifier: './workflow.ts', folder: join(fixtures, 'openai-agents'), frontends });
    expect(problems).toEqual([]);
    expect(workflow?.agents.map(({ name, effect, tools, model }) => [name, effect, tools, model])).toEqual([
      ['caretaker', 'sideEffect', ['read_meter'], 'main'],
      ['plumber', 'sideEffect', ['open_valve'], 'main'],
      ['meter-reader', 'idempotent', ['read_meter'], 'main'],
    ]);
    expect(workflow?.tools.map(({ name, effect }) => [name, effect])).toEqual([
      ['read_meter', 'readOnly'],
      ['open_valve', 'sideEffect'],
    ]);
    expect(
      workflow?.channels.filter(({ kind }) => kind === 'agent').map(({ id, patterns, repeatable }) => [id, patterns, repeatable]),
    ).toEqual([
      ['caretaker->plumber', ['request', 'stream'], false],
      ['plumber->meter-reader', ['request', 'stream'], true],
      ['plumber->plumber', ['request', 'stream'], false],
    ]);
    expect(workflow?.entry).toEqual({ kind: 'agent', agent: 'caretaker' });
  });

  it('runs none of its functions, whatever they are called by', async () => {
    const planted = join(folder, 'planted');
    const { workflow } = await read(`
import { writeFileSync } from 'node:fs';
const act = tool({ name: 'act', description: 'acts', parameters: { type: 'object', properties: {}, required: [], additionalProperties: false },
  execute: async () => { writeFileSync(${JSON.stringify(planted)}, 'ran'); return 'ran'; } });
const inner = new Agent({ name: 'inner', model: 'main', tools: [act],
  inputGuardrails: [{ name: 'g', execute: async () => { writeFileSync(${JSON.stringify(planted)}, 'ran'); return { tripwireTriggered: false, outputInfo: {} }; } }] });
export const entry = new Agent({ name: 'outer', model: 'main', tools: [act, inner.asTool({})] });`);
    expect(workflow?.agents.map(({ name }) => name)).toEqual(['outer', 'inner']);
    expect(existsSync(planted)).toBe(false);
  });

  it('names models as scenarios can, and tells functions of one name apart', async () => {
    const { workflow } = await read(`
const make = (text: string) => tool({ name: 'look', description: text, parameters: { type: 'object', properties: {}, required: [], additionalProperties: false }, execute: async () => text });
const other = new Agent({ name: '2nd Agent', model: 'gpt-4.1', tools: [make('b')] });
export const entry = new Agent({ name: 'firstAgent', tools: [make('a')], handoffs: [other] });`);
    expect(workflow?.agents.map(({ name, model, tools }) => [name, model, tools])).toEqual([
      ['first-agent', 'default', ['look']],
      ['agent-2nd-agent', 'gpt-4-1', ['agent-2nd-agent-look']],
    ]);
    expect(workflow?.models).toEqual(['default', 'gpt-4-1']);
  });

  it('refuses what it cannot run, and says why and where', async () => {
    const { workflow, problems } = await read(`
const server = new MCPServerStdio({ name: 'files', command: 'none' });
const hosted = new Agent({ name: 'Searcher', model: 'main', tools: [webSearchTool(), hostedMcpTool({ serverLabel: 'x', serverUrl: 'http://localhost:1' })] });
const stored = new Agent({ name: 'Stored', model: 'main', prompt: { promptId: 'p' } });
export const entry = new Agent({ name: 'Desk', model: 'main', mcpServers: [server], handoffs: [hosted, stored] });`);
    expect(workflow).toBeUndefined();
    expect(messages(problems)).toEqual([
      'error DMAS_WF_UNSUPPORTED the agent "Desk" cannot be run here: it connects to the MCP server files by itself',
      expect.stringContaining('the agent "Searcher" cannot be run here: its tool web_search (hosted_tool)'),
      expect.stringContaining('the agent "Searcher" cannot be run here: its tool hosted_mcp (hosted_tool)'),
      'error DMAS_WF_UNSUPPORTED the agent "Stored" cannot be run here: its prompt is stored with the model’s provider',
    ]);
    expect(problems[1]?.at).toMatchObject({ line: 4, file: expect.stringContaining('agents-') });
    expect(problems.every(({ fix }) => fix !== undefined)).toBe(true);
  });

  it('warns of an agent with a model of its own', async () => {
    const { workflow, problems } = await read(`
const own = { getResponse: async () => { throw new Error('never'); }, getStreamedResponse: () => { throw new Error('never'); } };
export const entry = new Agent({ name: 'Desk', model: own as never });`);
    expect(workflow?.agents[0]?.model).toBeUndefined();
    expect(messages(problems)).toEqual([expect.stringContaining('warning DMAS_WF_UNSUPPORTED the agent "Desk" brings a model of its own')]);
  });

  it('says what a version of the package lacks', () => {
    expect(missingFromSdk({})).toEqual(['Runner.prototype.run', 'RunContext', 'Usage', 'setTracingDisabled']);
    const run = () => {};
    const Runner = Object.assign(() => {}, { prototype: { run } });
    expect(missingFromSdk({ Runner, RunContext: run, Usage: run, setTracingDisabled: run })).toEqual([]);
  });

  it('gives units that run their own agents, with the user’s copy of the package', async () => {
    const { workflow } = await readWorkflow({ specifier: './workflow.ts', folder: join(fixtures, 'openai-agents'), frontends });
    if (workflow === undefined) throw new Error('no workflow');
    const defaults = { protocol: { protocol: 'http-json', options: {} }, resources: defaultResources, serving: {} };
    const { plan } = planDeployment(planRequest(workflow, onePerComponent(workflow, defaults)));
    if (plan === undefined) throw new Error('no plan');
    const bundles = await bundlePlan({ plan, workflow });
    const entryOf = (id: string) => bundles.find((bundle) => bundle.id === id)?.entry ?? '';
    expect(entryOf('plumber')).toContain(`import { RunContext, Runner, Usage, setTracingDisabled } from '@openai/agents';`);
    expect(entryOf('plumber')).toContain(`await openaiAgent('plumber', workflow, {`);
    expect(entryOf('plumber')).not.toContain(`openaiAgent('caretaker'`);
    expect(entryOf('caretaker')).toMatch(/entry: \(await openaiAgent\('caretaker'.*\)\)\.ref/);
  });
});
