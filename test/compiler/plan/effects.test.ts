import { describe, expect, it } from 'vitest';
import type { Agent, Tool, ToolServer, Workflow } from '../../../compiler/contracts/index.ts';
import { decideEffects, effectPolicy } from '../../../compiler/plan/effects.ts';
import { scenario } from '../support.ts';

const source = { module: 'x.ts', exportName: 'x' };
const tool = (name: string, effect: Tool['effect'], server?: string): Tool => ({
  name,
  description: name,
  effect,
  input: {},
  output: { type: 'object' },
  source,
  ...(server === undefined ? {} : { server }),
});
const agent = (name: string, more: Partial<Agent>): Agent => ({
  name,
  kind: 'code',
  description: name,
  mobility: 'movable',
  effect: 'sideEffect',
  input: {},
  output: {},
  concurrency: 1,
  streams: false,
  usesSessionState: false,
  blackboards: [],
  secrets: [],
  domains: [],
  source,
  ...more,
});
const elsewhere = { speaks: 'a2a', options: {} };
const server = (name: string, more: Partial<ToolServer> = {}): ToolServer => ({
  name,
  mobility: 'external',
  tools: [],
  concurrency: 1,
  secrets: [],
  domains: [],
  elsewhere: { speaks: 'mcp', options: {} },
  source,
  ...more,
});
const workflow: Workflow = {
  schemaVersion: 1,
  name: 'w',
  frontend: 'typescript',
  file: '/w.ts',
  agents: [
    agent('ours', {}),
    agent('stranger', { mobility: 'external', elsewhere }),
    agent('partner', { mobility: 'external', elsewhere, output: { type: 'object', properties: {} } }),
    agent('reader', { mobility: 'external', elsewhere, effect: 'readOnly' }),
    agent('python', { kind: 'elsewhere', elsewhere }),
  ],
  toolServers: [server('mcp-files', { discovers: true }), server('mcp-mail', { discovers: true })],
  tools: [tool('look', 'readOnly'), tool('save', 'idempotent'), tool('pay', 'sideEffect'), tool('mail', 'sideEffect')],
  models: [],
  topics: [],
  graphs: [],
  blackboards: [],
  channels: [],
  entry: { kind: 'agent', agent: 'ours' },
};
const input = (given: object = {}, recorded: readonly string[] = []) => ({
  workflow,
  config: scenario(given),
  recorded: new Set(recorded),
});
const modesOf = (given: object = {}, recorded: readonly string[] = []) =>
  Object.fromEntries(decideEffects(input(given, recorded)).map(({ name, mode }) => [name, mode]));

describe('what happens to calls with effects in a study', () => {
  const plain = { look: 'live', save: 'live', pay: 'stub', mail: 'stub', 'mcp-files': 'live', 'mcp-mail': 'live' };
  const agents = { stranger: 'blocked', partner: 'stub', reader: 'live', python: 'live' };

  it('nothing with side effects, and nobody who does not say, runs by default; every decision has its reason', () => {
    expect(modesOf()).toEqual({ ...plain, ...agents });
    for (const { why } of decideEffects(input())) expect(why).not.toBe('');
  });

  it('what is allowed by name runs, and nothing else', () => {
    expect(modesOf({ workload: { allowSideEffects: ['mail', 'stranger'] } })).toEqual({
      ...plain,
      ...agents,
      mail: 'live',
      stranger: 'live',
    });
  });

  it('what the cassette has replaces side effects; other things only where the scenario names them', () => {
    const recorded = ['look', 'pay', 'stranger'];
    expect(modesOf({}, recorded)).toEqual({ ...plain, ...agents });
    const replay = { cassette: './c' };
    expect(modesOf({ replay }, recorded)).toEqual({ ...plain, ...agents, pay: 'tape', stranger: 'tape' });
    expect(modesOf({ replay: { ...replay, components: ['look', 'save', 'python'] } }, recorded)).toEqual({
      ...plain,
      ...agents,
      pay: 'tape',
      stranger: 'tape',
      look: 'tape',
      save: 'blocked',
      python: 'blocked',
    });
  });

  it('units are told: who is outside, what discovered tools may do, and which server answers for all its tools', () => {
    const { policy, stubbedTools } = effectPolicy(input({ workload: { allowSideEffects: ['mcp-mail'] } }));
    expect(stubbedTools).toEqual(['pay', 'mail']);
    expect(policy.outside).toEqual(['stranger', 'partner', 'reader', 'python', 'mcp-files', 'mcp-mail']);
    expect(policy.modes['mcp-mail']).toBe('live');
    expect(policy.modes['mcp-files']).toBeUndefined();
    expect(policy.discovered).toEqual({ readOnly: 'live', idempotent: 'live', sideEffect: 'stub' });
    expect(policy.outputs).toEqual({ partner: { type: 'object', properties: {} } });
  });
});
