import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { redeployUnderLoad } from '../bench/lib/redeploy.ts';

const updates = 15;

describe.runIf(process.env.DMAS_OPT_FULL === '1')('redeployments under load', () => {
  it('fail no request, whatever follows what', async () => {
    const scenarioFile = join(import.meta.dirname, '../../scenarios/travel-planner/scenario.yaml');
    const result = await redeployUnderLoad({ scenarioFile, target: 'process', updates, perSecond: 4, seed: 20_260_117 });
    expect(result, JSON.stringify(result)).toMatchObject({ failed: 0, errors: {}, contradictions: 0, updates });
    expect(result.layouts).toBeGreaterThan(updates / 2);
    expect(result.sent).toBeGreaterThan(updates * 4);
  }, 300_000);
});
