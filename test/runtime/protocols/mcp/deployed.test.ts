import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOf } from '../../../../cli/laboratory.ts';
import { bundlePlan } from '../../../../compiler/bundle.ts';
import { allInOne } from '../../../../compiler/contracts/index.ts';
import { type Bench, openBench } from '../../../placements/deploy.ts';

const file = join(import.meta.dirname, '../../../fixtures/mcp/application/scenario.yaml');

describe('an application with an MCP server that speaks on its standard streams', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench(file);
  });
  afterAll(() => bench.close());

  it('runs from its bundles, with the bridge started by the target, in one trace', async () => {
    await bench.with(bench.project.baseline, async (application) => {
      const { status, output } = await application.ask({ id: 'r-1', input: { text: 'tides' } });
      expect([status, output]).toEqual([200, '{"text":"shout; "TIDES"; helped tides"}'.replaceAll('"TIDES"', '\\"TIDES\\"')]);
      const spans = await application.spans();
      expect(new Set(spans.map((span) => span.traceId)).size).toBe(1);
      expect(spans.map((span) => span.name)).toEqual(expect.arrayContaining(['execute_tool shout', 'call files', 'call helper']));
    });
  }, 60_000);

  it('carries MCP in the units that speak it and in no other', async () => {
    const plan = planOf(bench.project, bench.project.baseline);
    const bundles = await bundlePlan({ plan, workflow: bench.project.workflow });
    const carries = Object.fromEntries(bundles.map(({ id, code }) => [id, code.includes('io.modelcontextprotocol/protocolVersion')]));
    expect(carries).toEqual({ clerk: true, helper: false });
  });

  it('keeps the server apart where all of ours is in one unit', () => {
    const configuration = allInOne(bench.project.workflow, bench.project.defaults);
    expect(configuration.units.map(({ components }) => components)).toEqual([['clerk', 'helper'], ['files']]);
  });
});
