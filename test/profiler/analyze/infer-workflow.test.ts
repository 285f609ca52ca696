import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestTraces } from '../../../profiler/analyze/digest.ts';
import { type InferredWorkflow, inferWorkflow } from '../../../profiler/analyze/infer-workflow.ts';
import { agent, chat, hop, otlpLines, request, type SpanSpec } from './otlp-file.ts';

async function inferred(traces: readonly SpanSpec[]): Promise<InferredWorkflow> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-infer-'));
  try {
    const path = join(folder, 'traces.jsonl');
    await writeFile(path, otlpLines(traces));
    return inferWorkflow(await digestTraces([{ kind: 'file', path }], {}, { signal: new AbortController().signal, seed: 1 }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const tool = (name: string, service: string, at: number, ms: number): SpanSpec => ({
  name: `execute_tool ${name}`,
  at,
  ms,
  service,
  attributes: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': name },
});
const byName = (draft: InferredWorkflow) => Object.fromEntries(draft.components.map((component) => [component.name, component]));

describe('a draft workflow from traces', () => {
  it('has agents, the tool in their process, models, channels, and today’s layout with replicas', async () => {
    const draft = await inferred(
      Array.from({ length: 6 }, (_, i) =>
        request(
          agent('planner', {
            at: 0,
            ms: 100,
            children: [
              tool('calendar', 'planner', 2, 5),
              chat('planner', 10, 40),
              hop('planner', 55, agent('WeatherAgent', { at: 57, ms: 10, service: 'weather', instance: `weather-${i % 3}` }), 4),
            ],
          }),
        ),
      ),
    );
    expect(draft.workflow.agents.map(({ name, kind, mobility }) => [name, kind, mobility])).toEqual([
      ['WeatherAgent', 'code', 'movable'],
      ['planner', 'llm', 'movable'],
    ]);
    expect(draft.workflow.entry).toEqual({ kind: 'agent', agent: 'planner' });
    expect(draft.workflow.models).toEqual(['gpt-test']);
    expect(draft.workflow.channels.map(({ id }) => id)).toEqual(['planner->WeatherAgent', 'planner->model:gpt-test']);
    expect(draft.holderOf).toMatchObject({ calendar: 'planner' });
    expect(byName(draft).planner?.holds).toEqual(['calendar', 'planner']);
    expect(byName(draft).WeatherAgent?.slug).toBe('weather-agent');
    expect(byName(draft)['gpt-test']).toMatchObject({ mobility: 'external', kind: 'model' });
    expect(draft.baseline.units.map(({ components, replicas }) => [components, replicas])).toEqual([
      [['WeatherAgent'], 3],
      [['planner'], 1],
    ]);
    expect(draft.questions).toEqual([]);
  });

  it('keeps a process of another language whole, may replicate it only, and says why', async () => {
    const draft = await inferred([
      request(
        agent('writer', {
          at: 0,
          ms: 60,
          service: 'crew',
          language: 'python',
          children: [{ ...agent('critic', { at: 10, ms: 20, service: 'crew', language: 'python' }) }],
        }),
      ),
    ]);
    expect(draft.workflow.agents).toMatchObject([{ name: 'crew', kind: 'elsewhere', mobility: 'replicasOnly' }]);
    expect(byName(draft).crew).toMatchObject({ holds: ['critic', 'writer'], languages: ['python'] });
    expect(byName(draft).crew?.reason).toContain('written in python');
    expect(draft.edges).toEqual([]);
    expect(draft.workflow.entry).toEqual({ kind: 'agent', agent: 'crew' });
  });

  it('puts the tools of a process of their own into one tool server', async () => {
    const serve = (name: string, at: number): SpanSpec => hop('planner', at, { ...tool(name, 'toolbox', at + 1, 4) }, 2);
    const draft = await inferred([request(agent('planner', { at: 0, ms: 60, children: [serve('search', 5), serve('fetch', 20)] }))]);
    expect(draft.workflow.toolServers).toMatchObject([{ name: 'toolbox', tools: ['fetch', 'search'], mobility: 'movable' }]);
    expect(draft.workflow.tools.map(({ name, server }) => [name, server])).toEqual([
      ['fetch', 'toolbox'],
      ['search', 'toolbox'],
    ]);
    expect(draft.edges).toMatchObject([{ from: 'planner', to: 'toolbox', inProcess: false }]);
    expect(draft.workflow.channels[0]?.kind).toBe('tool');
  });

  it('asks about what it cannot see: who is only called, what nothing says the language of, and parents that are missing', async () => {
    const draft = await inferred([
      request(
        agent('planner', {
          at: 0,
          ms: 60,
          language: null,
          children: [
            {
              name: 'POST',
              kind: 'client',
              at: 5,
              ms: 20,
              service: 'planner',
              language: null,
              attributes: { 'http.request.method': 'POST', 'server.address': 'billing.example.com' },
            },
          ],
        }),
      ),
      { ...agent('lost', { at: 0, ms: 10 }), orphan: true },
    ]);
    const questions = draft.questions.map(({ question }) => question).join('\n');
    expect(questions).toMatch(/billing\.example\.com.*(yours to deploy|sends no spans)/);
    expect(questions).toMatch(/What is planner written in\?/);
    expect(questions).toMatch(/1 span names a parent that was not traced/);
    expect(questions).toMatch(/Who calls lost\?/);
    expect(byName(draft)['billing.example.com']?.mobility).toBe('external');
    expect(draft.workflow.agents.find(({ name }) => name === 'billing.example.com')?.mobility).toBe('external');
    expect(draft.baseline.units.flatMap(({ components }) => components)).not.toContain('billing.example.com');
  });

  it('gives names that a scenario may use, each once', async () => {
    const draft = await inferred([
      request(
        agent('42 Ümläut!', { at: 0, ms: 60, service: 'x', children: [hop('x', 5, agent('ml ut', { at: 6, ms: 4, service: 'y' }), 2)] }),
      ),
    ]);
    const slugs = draft.components.map(({ slug }) => slug);
    expect(new Set(slugs).size).toBe(slugs.length);
    for (const slug of slugs) expect(slug).toMatch(/^[a-z][a-z0-9-]*$/);
  });
});
