import { describe, expect, it } from 'vitest';
import { refusalsBetween, refusalsOf } from '../../cli/refusals.ts';
import type { Block, Plan, RefusedCalls, Study } from '../../compiler/contracts/index.ts';
import { warningsOf } from '../../reports/build-warnings.ts';
import { createCallerStats } from '../../runtime/egress/stats.ts';

const plan = (kinds: readonly string[]) => ({ services: kinds.map((kind) => ({ id: kind, kind })) }) as unknown as Plan;
const deployment = (kinds: readonly string[], stats: readonly unknown[]) => ({
  plan: plan(kinds),
  stats: async () => stats.map((one, replica) => ({ id: 'any', replica, stats: one })),
});
const calls = (count: number, place = 'a.example:443', reason = 'undeclared', caller = 'front'): RefusedCalls => ({
  ...{ caller, place, reason, count },
});

describe('refused calls', () => {
  it('are what the egress service counts of each caller', async () => {
    const front = createCallerStats(() => {});
    front.refused({ host: 'a.example', port: 443 }, 'undeclared');
    front.refused({ host: 'a.example', port: 443 }, 'undeclared');
    front.refused({ host: '', port: 0 }, 'unreadable');
    const egress = { egress: { front: front.read(), back: createCallerStats(() => {}).read() } };
    expect(await refusalsOf(deployment(['model', 'egress'], [{ calls: 3 }, null, egress]))).toEqual([calls(2), calls(1, '', 'unreadable')]);
    expect(await refusalsOf(deployment(['model'], [egress]))).toEqual([]);
  });

  it('of a block are those since its start, or since the service was restarted', () => {
    expect(refusalsBetween([calls(5)], [calls(7), calls(1, 'b.example:443')])).toEqual([calls(2), calls(1, 'b.example:443')]);
    expect(refusalsBetween([calls(5)], [calls(5)])).toEqual([]);
    expect(refusalsBetween([calls(5)], [calls(3)])).toEqual([calls(3)]);
  });

  it('are warned of in the report, with what would allow them', () => {
    const block = (id: string, refusals?: readonly RefusedCalls[]) =>
      ({ id, purpose: 'race', quality: { valid: true, faults: [] }, provenance: 'measured', refusals }) as unknown as Block;
    const blocks = [block('1', [calls(2)]), block('2', [calls(3), calls(4, 'c.example:443', 'private')]), block('3')];
    const study = { blocks: new Map(blocks.map((one) => [one.id, one])), entries: [] } as unknown as Study;
    expect(warningsOf(study, null, [])).toEqual([
      {
        code: 'call-refused',
        message: '5 calls of front to a.example:443 were refused (undeclared).',
        advice: 'If it may, write the place under rights.hosts of the agent or tool that needs it.',
      },
      {
        code: 'call-refused',
        message: '4 calls of front to c.example:443 were refused (private).',
        advice: 'If it may, write the network of that address under rights.networks.',
      },
    ]);
  });
});
