import { describe, expect, it } from 'vitest';
import { attr } from '../../../compiler/contracts/index.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { blockOf, configurationOf, tracer, workflowOf } from './fixture.ts';

/** One request: the desk asks the model once itself, and the writer twice, once in a pool of its own. */
function request(id: string) {
  const { spans, add } = tracer(id, { [attr.blockId]: 'b1' });
  const chat = (tokens: number, queueMs: number, pool?: string) => ({
    [attr.requestModel]: 'main',
    [attr.tokensIn]: tokens,
    [attr.tokensCached]: tokens / 2,
    [attr.tokensOut]: 10,
    [attr.queueMs]: queueMs,
    ...(pool === undefined ? {} : { [attr.pool]: pool }),
  });
  const root = add(null, 'ingress', 'server', [0, 100], 'desk', { [attr.requestClass]: 'interactive' });
  const entry = add(root, 'call desk', 'client', [0, 100], 'desk', { [attr.rpcSystem]: 'inproc' });
  const desk = add(entry, 'invoke_agent desk', 'internal', [0, 100], 'desk', { [attr.agentName]: 'desk' });
  add(desk, 'chat main', 'client', [1, 11], 'desk', chat(100, 1));
  const call = add(desk, 'call writer', 'client', [12, 90], 'desk', { [attr.rpcSystem]: 'inproc' });
  const writer = add(call, 'invoke_agent writer', 'internal', [12, 90], 'desk', { [attr.agentName]: 'writer' });
  add(writer, 'chat main', 'client', [13, 43], 'desk', { ...chat(200, 5), [attr.limitMs]: 10 });
  add(writer, 'chat main', 'client', [50, 80], 'desk', chat(300, 0, 'main@writer'));
  return spans;
}

describe('who waits for which pool', () => {
  const workflow = workflowOf(['desk', 'writer'], [['desk', 'writer']]);
  const pool = { pool: 'main', model: 'main', source: 'vllm' as const };
  const profile = buildProfile({
    workflow,
    configuration: configurationOf(workflow, [['desk', 'writer']]),
    blocks: [{ block: { ...blockOf(2), pools: [pool as never] }, spans: [...request('a'), ...request('b')] }],
  });

  it('is told per pool and agent, per request of the application', () => {
    const { byPool } = profile.models.main ?? {};
    expect(Object.keys(byPool ?? {})).toEqual(['main', 'main@writer']);
    expect(byPool?.main?.callsPerRequest).toBe(2);
    expect(byPool?.main?.byAgent).toMatchObject({
      desk: { callsPerRequest: 1, tokensIn: 100, tokensCached: 50, tokensOut: 10, waitMs: 10, queueMs: 1 },
      // Without what a declared quota held back.
      writer: { callsPerRequest: 1, tokensIn: 200, waitMs: 20, queueMs: 5 },
    });
    expect(byPool?.['main@writer']?.byAgent).toMatchObject({ writer: { tokensIn: 300, waitMs: 30 } });
  });

  it('keeps what the pools told in the blocks', () => {
    expect(profile.pools).toEqual([pool]);
  });
});
