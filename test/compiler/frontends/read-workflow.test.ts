import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../compiler/contracts/index.ts';
import { newsroom, readTexts } from '../support.ts';

const summary = (problems: readonly Problem[]) =>
  problems.map(({ code, severity, at }) => `${severity} ${code} ${basename(at?.file ?? '?')}:${at?.line ?? '?'}:${at?.column ?? '?'}`);

const head = `import { agent, codeAgent, codeTool, end, graphAgent, llmAgent, tool, toolServer, workflow, z } from 'dmas-opt';
const any = z.object({});
const a = agent('a', { input: any, output: any });
const b = agent('b', { input: any, output: any });
`;

describe('a whole workflow', () => {
  it('becomes plain data with every part found where it stands', async () => {
    const workflow = await newsroom();
    const { file, ...portable } = workflow;
    expect(basename(file)).toBe('workflow.ts');
    expect(JSON.parse(JSON.stringify(portable))).toEqual(portable);
    await expect(`${JSON.stringify(portable, null, 2)}\n`).toMatchFileSnapshot('../../golden/compiler/newsroom.workflow.json');
  });

  it('marks channels by the effect of their callees', async () => {
    const { channels } = await newsroom();
    const repeatable = (id: string) => channels.find((channel) => channel.id === id)?.repeatable;
    expect(repeatable('desk->editor')).toBe(true);
    expect(repeatable('editor->checker')).toBe(false);
    // One of the two tools on the server has a side effect.
    expect(repeatable('editor->archive')).toBe(false);
  });
});

describe('broken workflows', () => {
  it('tells everything at once, each at its definition', async () => {
    const { workflow, problems } = await readTexts({
      'workflow.ts': `${head}
const lost = agent('lost', { input: any, output: any });
export const first = codeAgent(a, async () => ({}), { calls: [b, lost] });
export const twice = codeAgent(a, async () => ({}));
export const alone = llmAgent(agent('alone', { input: any, output: any }), { model: 'mian', system: '' });
const hidden = codeAgent(b, async () => ({}));
export let memory = 0;
export default workflow({ name: 'broken', entry: a, parts: [first, twice, alone, hidden] });
`,
    });
    expect(workflow).toBeUndefined();
    expect(summary(problems).sort()).toEqual([
      'error DMAS_WF_DUPLICATE workflow.ts:7:14',
      'error DMAS_WF_NOT_EXPORTED workflow.ts:4:17',
      'error DMAS_WF_UNBOUND_MODEL workflow.ts:9:14',
      'error DMAS_WF_UNKNOWN_AGENT workflow.ts:7:14',
      'error DMAS_WF_UNREACHABLE workflow.ts:9:14',
      'warning DMAS_WF_SHARED_STATE workflow.ts:11:12',
    ]);
    expect(problems.find((problem) => problem.code === 'DMAS_WF_UNBOUND_MODEL')?.didYouMean).toBe('main');
  });

  it('finds unbounded loops, wrong joins and nodes that are not nodes', async () => {
    const graph = (edges: string, nodes = '[b, c, d]') => ({
      'workflow.ts': `${head}
const c = agent('c', { input: any, output: any });
const d = agent('d', { input: any, output: any });
export const bb = codeAgent(b, async () => ({}));
export const cc = codeAgent(c, async () => ({}));
export const dd = codeAgent(d, async () => ({}));
export const aa = graphAgent(a, { state: {}, nodes: ${nodes}, start: b, edges: [${edges}] });
export default workflow({ name: 'g', entry: a, parts: [aa, bb, cc, dd] });
`,
    });
    const codes = async (edges: string, nodes?: string) => (await readTexts(graph(edges, nodes))).problems.map((problem) => problem.code);
    expect(await codes('{ from: b, to: [c, d] }')).toEqual([]);
    expect(await codes('{ from: b, to: c }, { from: c, choose: () => end, among: [b, d, end] }')).toEqual(['DMAS_WF_UNBOUNDED_LOOP']);
    expect(await codes('{ from: b, to: c }, { from: [b, c], to: d }')).toEqual(['DMAS_WF_BAD_JOIN']);
    expect(await codes('{ from: b, to: c }')).toEqual(expect.arrayContaining(['DMAS_WF_UNREACHABLE']));
    expect(await codes('{ from: b, to: [c, d] }', '[b, c]')).toContain('DMAS_WF_UNKNOWN_AGENT');
  });

  it('points at a syntax error', async () => {
    const { problems } = await readTexts({
      'workflow.ts': `import './parts.ts';`,
      'parts.ts': `export const x = 1;\nexport const y = (;\n`,
    });
    expect(summary(problems)).toEqual(['error DMAS_WF_LOAD parts.ts:2:19']);
  });

  it('points at an import that does not exist', async () => {
    const { problems } = await readTexts({ 'workflow.ts': `\nimport { x } from './missing.ts';\nexport default x;\n` });
    expect(summary(problems)).toEqual(['error DMAS_WF_LOAD workflow.ts:2:19']);
  });

  it('points at the line that threw while the module was loaded', async () => {
    const { problems } = await readTexts({
      'workflow.ts': `import { x } from './parts.ts';\nexport default x;\n`,
      'parts.ts': `// a comment, so that lines differ from the bundle's\n\nfunction boom(): never {\n  throw new RangeError('no luck');\n}\nexport const x = boom();\n`,
    });
    expect(summary(problems)).toEqual(['error DMAS_WF_LOAD parts.ts:4:9']);
    expect(problems[0]?.message).toContain('RangeError: no luck');
    expect(problems[0]?.message).not.toMatch(/dmas-opt-[0-9a-f-]{36}/);
  });

  it('says which exports there are when the one named is not', async () => {
    const text = `${head}export const one = codeAgent(a, async () => ({}));
export const main = workflow({ name: 'm', entry: a, parts: [one] });
`;
    expect((await readTexts({ 'workflow.ts': text })).workflow?.name).toBe('m');
    const { problems } = await readTexts({ 'workflow.ts': text }, './workflow.ts#mian');
    expect(problems[0]).toMatchObject({ code: 'DMAS_WF_NO_WORKFLOW', allowed: ['main'], didYouMean: 'main' });
    expect((await readTexts({ 'workflow.ts': 'export const x = 1;' })).problems[0]?.code).toBe('DMAS_WF_NO_WORKFLOW');
    expect((await readTexts({ 'workflow.ts': text }, './other.ts')).problems[0]?.code).toBe('DMAS_FILE_UNREADABLE');
  });

  it('refuses names that cannot stand in addresses and files', async () => {
    const { problems } = await readTexts({
      'workflow.ts': `import { agent, codeAgent, workflow, z } from 'dmas-opt';
const any = z.object({});
export const one = agent('../One', { input: any, output: any });
export const run = codeAgent(one, async () => ({}));
export default workflow({ name: 'n', entry: one, parts: [run] });
`,
    });
    expect(summary(problems)).toEqual(['error DMAS_WF_BAD_NAME workflow.ts:4:14']);
  });

  it('asks for a topic entry that can complete', async () => {
    const { problems } = await readTexts({
      'workflow.ts': `import { agent, codeAgent, topic, workflow, z } from 'dmas-opt';
const any = z.object({});
export const asked = topic('asked', any);
export const answered = topic('answered', any);
export const one = codeAgent(agent('one', { input: any, output: any }), async () => ({}), { subscribes: [asked] });
export default workflow({ name: 't', entry: { publish: asked, complete: answered }, parts: [one] });
`,
    });
    expect(summary(problems)).toEqual(['error DMAS_WF_UNREACHABLE workflow.ts:4:14']);
  });
});
