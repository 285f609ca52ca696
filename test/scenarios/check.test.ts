import { describe, expect, it } from 'vitest';
import type { Workflow } from '../../compiler/contracts/index.ts';
import { checkScenario } from '../../scenarios/check.ts';
import { parseScenario } from '../../scenarios/load.ts';

const agent = (name: string) => ({ name }) as Workflow['agents'][number];
const workflow = {
  agents: [agent('planner'), agent('weather')],
  toolServers: [{ name: 'maps' }],
  tools: [],
  models: ['main'],
  channels: [
    { id: 'planner->weather', kind: 'agent', from: ['planner'], to: ['weather'] },
    { id: 'weather->maps', kind: 'tool', from: ['weather'], to: ['maps'] },
  ],
} as unknown as Workflow;
const words = {
  protocols: ['http-json', 'inproc'],
  targets: ['process'],
  stores: ['memory'],
  backends: ['simulated'],
  strategies: ['exact'],
};

function problemsOf(rest: string) {
  const { scenario } = parseScenario('/app/s/scenario.yaml', `workflow: w.ts\nmodels: { main: {} }\n${rest}`, {});
  if (!scenario) throw new Error('the test scenario must parse');
  return checkScenario(scenario, workflow, words);
}

describe('checkScenario', () => {
  it('accepts what fits', () => {
    expect(problemsOf('search: { apart: [[planner, maps]], protocols: { planner->weather: [http-json] } }\n')).toEqual([]);
  });

  it.each([
    ['search: { apart: [[planner, wether]] }', 'DMAS_CFG_UNKNOWN_AGENT', 'weather'],
    ['search: { protocols: { planner->wether: [http-json] } }', 'DMAS_CFG_UNKNOWN_CHANNEL', 'planner->weather'],
    ['baseline: { protocol: htp-json }', 'DMAS_CFG_UNKNOWN_PROTOCOL', 'http-json'],
    ['target: proces', 'DMAS_CFG_UNKNOWN_TARGET', 'process'],
    ['objective: { slo: [{ class: defalt, metric: latency.p95, max: 1s }] }', 'DMAS_CFG_UNKNOWN_CLASS', 'default'],
    ['state: { store: memry }', 'DMAS_CFG_INVALID_VALUE', 'memory'],
  ])('%s', (text, code, meant) => {
    expect(problemsOf(text)).toMatchObject([{ code, didYouMean: meant, at: { line: 3 } }]);
  });

  it.each([
    'search: { together: [[planner, weather]], apart: [[planner, weather]] }',
    'search: { maxUnits: 1, apart: [[planner, weather]] }',
    'search: { replicas: { planner: [3, 1] } }',
    'baseline: { layout: [[planner, weather], [weather, maps]] }',
    'objective: { slo: [{ metric: latency.p95 }] }',
    'objective: { slo: [{ metric: firstToken.p95, max: 1s }] }',
  ])('finds the contradiction in %s', (text) => {
    expect(problemsOf(text).map((problem) => problem.code)).toContain('DMAS_CFG_CONTRADICTION');
  });

  it('asks for every model to be bound, and only those', () => {
    const { scenario } = parseScenario('/app/s/scenario.yaml', 'workflow: w.ts\nmodels: { mian: {} }\n', {});
    expect(scenario && checkScenario(scenario, workflow, words).map((problem) => problem.code)).toEqual([
      'DMAS_CFG_UNKNOWN_MODEL',
      'DMAS_WF_UNBOUND_MODEL',
    ]);
  });
});
