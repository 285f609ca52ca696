/**
 * Whether a remote segment of a LangGraph.js graph is priced right: one round trip of the state for all its nodes, not one per
 * node. `npx tsx test/bench/segments.ts [--rounds 6] [--requests 120] [scenario.yaml]`: deploys the graph with a unit per node and with all
 * nodes in one other unit, in turn; predicts the second from the profile of the first, and holds that against what was
 * measured. The last line is JSON.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { protocols } from '../../cli/registry.ts';
import { type Block, type Configuration, fromPartition, onePerComponent, type Profile } from '../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../optimizer/predict/analytic.ts';
import { compileProfile } from '../../optimizer/predict/compiled-profile.ts';
import { buildProfile } from '../../profiler/analyze/profile.ts';
import { measureProtocolPrices } from '../../runtime/protocols/prices.ts';
import { blockOf } from '../optimizer/synthetic-block.ts';
import { openBench } from '../placements/deploy.ts';
import { quantile, ratioInterval } from './lib/paired.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '6' }, requests: { type: 'string', default: '120' } },
});
const [file = resolve(import.meta.dirname, '../fixtures/workflows/langgraph-chain/scenario.yaml')] = positionals;
const [rounds, requests] = [Number(values.rounds), Number(values.requests)];

const prices = await measureProtocolPrices(protocols.filter(({ id }) => id === 'http-json'));
const bench = await openBench(file);
const { workflow, defaults, scenario } = bench.project;
const [hub = '', ...nodes] = workflow.agents.map((agent) => agent.name);
const apart = onePerComponent(workflow, defaults);
const together = fromPartition(workflow, [[hub], nodes], defaults);
const input = { text: 'x'.repeat(8_000) };

/** One request after the other. @returns the median latency after the first tenth, and the profile of the whole */
async function measure(configuration: Configuration): Promise<{ readonly ms: number; readonly profile: Profile }> {
  return bench.with(configuration, async (application) => {
    const latencies: number[] = [];
    for (let n = 0; n < requests; n++) {
      const since = performance.now();
      await application.ask({ id: `r${n}`, input });
      latencies.push(performance.now() - since);
    }
    const block: Block = { ...blockOf({ configuration, p50Ms: quantile(latencies, 0.5) }), usage: [] };
    const profile = buildProfile({ workflow, configuration, blocks: [{ block, spans: await application.spans() }] });
    return { ms: quantile(latencies.slice(Math.floor(requests / 10)), 0.5), profile };
  });
}

function predicted(profile: Profile, configuration: Configuration): number {
  const workload = { default: { process: 'closed', clients: 1, thinkMs: 0 } as const };
  const predict = createAnalyticPredictor({
    profile,
    workflow,
    prices,
    workload,
    pricing: scenario.config.prices,
    hostCores: availableParallelism(),
    seed: 1,
  });
  return predict(configuration).classes.default?.p50Ms.point ?? Number.NaN;
}

/** The same prediction by one price per edge, as for a graph whose state goes from node to node. */
const perEdge = (profile: Profile) => {
  const { hubs: _, ...plain } = workflow;
  const workload = { default: { process: 'closed', clients: 1, thinkMs: 0 } as const };
  return (
    createAnalyticPredictor({
      profile,
      workflow: plain,
      prices,
      workload,
      pricing: scenario.config.prices,
      hostCores: availableParallelism(),
      seed: 1,
    })(together).classes.default?.p50Ms.point ?? Number.NaN
  );
};

const rows: { apartMs: number; togetherMs: number; predictedMs: number; selfMs: number; perEdgeMs: number }[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    const first = await measure(apart);
    const second = await measure(together);
    const row = {
      apartMs: first.ms,
      togetherMs: second.ms,
      predictedMs: predicted(first.profile, together),
      selfMs: predicted(first.profile, apart),
      perEdgeMs: perEdge(first.profile),
    };
    rows.push(row);
    const steps = compileProfile(second.profile, workflow).edges.length;
    console.log(
      `round ${round + 1}: ${Object.entries(row)
        .map(([name, ms]) => `${name} ${ms.toFixed(2)}`)
        .join(', ')}; ${steps} edges`,
    );
  }
} finally {
  await bench.close();
}
const ratio = (pick: (row: (typeof rows)[number]) => number) => ratioInterval(rows.map(pick));
console.log(
  JSON.stringify({
    rounds,
    requests,
    measured: {
      apartMs: quantile(
        rows.map((row) => row.apartMs),
        0.5,
      ),
      togetherMs: quantile(
        rows.map((row) => row.togetherMs),
        0.5,
      ),
    },
    saved: ratio((row) => row.togetherMs / row.apartMs),
    predictedToMeasured: ratio((row) => row.predictedMs / row.togetherMs),
    // The prediction of the layout it was profiled on, which the loop calibrates with.
    calibrated: ratio((row) => row.predictedMs / row.selfMs / (row.togetherMs / row.apartMs)),
    calibratedPerEdge: ratio((row) => row.perEdgeMs / row.selfMs / (row.togetherMs / row.apartMs)),
  }),
);
