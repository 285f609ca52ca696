/**
 * Whether anything grows under lasting load: `npm run bench:soak [-- scenario.yaml --target docker --minutes 60 --share 0.8
 * --vcpu 0.2]`. Measures what one layout can take with a closed loop, then keeps open load at a share of it, block after
 * block as a study does, and reads resident memory and open handles of every replica and of this process, which is
 * dmas-opt itself. Slopes per hour leave out the time in which processes settle. Under load memory and handles follow the
 * queues, so everything is also read at rest, when idle connections have been closed: once after settling, once at the
 * end; of dmas-opt the heap too, garbage collected. The last line is JSON.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createLaboratory } from '../../cli/laboratory.ts';
import { layoutOf } from '../../cli/layouts.ts';
import { openProject, openTarget } from '../../cli/project.ts';
import { createRunFolder } from '../../cli/run-folder.ts';
import { type Block, canonicalConfiguration, configurationId } from '../../compiler/contracts/index.ts';
import { otlp } from '../../profiler/collect/otlp.ts';
import { metricOf } from '../../profiler/stats/metrics.ts';
import { type FootprintOf, footprintOf, processesOf } from './lib/footprint.ts';
import { slopeOf } from './lib/slope.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'docker' },
    minutes: { type: 'string', default: '60' },
    share: { type: 'string', default: '0.8' },
    layout: { type: 'string', default: 'baseline' },
    vcpu: { type: 'string', default: '0' },
    'block-seconds': { type: 'string', default: '60' },
    'sample-seconds': { type: 'string', default: '10' },
    'settle-minutes': { type: 'string', default: '5' },
    'rest-seconds': { type: 'string', default: '150' },
    'sampling-ratio': { type: 'string', default: '0.05' },
  },
});
const file = positionals[0] ?? 'scenarios/travel-planner/scenario.yaml';
const number = (name: Exclude<keyof typeof values, 'target' | 'layout'>) => Number(values[name]);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const project = await openProject(file, { target: values.target });
const layout = await layoutOf(project, values.layout);
const vcpu = number('vcpu');
const units = layout.units.map((unit) => (vcpu > 0 ? { ...unit, resources: { ...unit.resources, vcpu } } : unit));
const configuration = canonicalConfiguration({ ...layout, units });
const id = configurationId(configuration);

interface Reading {
  readonly atMs: number;
  readonly name: string;
  readonly rssMb: number;
  readonly handles: number | null;
}
const readings: Reading[] = [];
const atRest: { readonly [process: string]: { readonly rssMb: number; readonly handles: number | null; readonly heapMb?: number } }[] = [];
const blocks: Block[] = [];
const target = await openTarget(project);
const collector = await (await otlp.load()).start('127.0.0.1');
const path = await mkdtemp(join(tmpdir(), 'dmas-soak-'));
let capacityPerSecond = 0;
let startedAtMs = 0;
try {
  const { signal } = new AbortController();
  const context = { emit: () => {}, signal, now: Date.now, seed: project.scenario.config.seed };
  const folder = await createRunFolder(path, 'soak', Date.now());
  const laboratory = await createLaboratory({ project, target, collector, folder, context });
  const arena = await laboratory.openArena([configuration], signal);
  try {
    const [failure] = arena.failures;
    if (failure) throw new Error(failure.message);
    const request = (name: string, round: number, seconds: number) => ({
      id: name,
      configurationId: id,
      purpose: 'trial' as const,
      round,
      seed: context.seed + round,
      warmupMs: 1_000,
      durationMs: seconds * 1_000,
      samplingRatio: number('sampling-ratio'),
    });
    // The first loop warms up and counts for nothing.
    for (const round of [0, 1]) {
      const { block } = await arena.block({ ...request(`capacity-${round}`, round, 15), purpose: 'capacity', closedClients: 8 }, signal);
      capacityPerSecond = metricOf(block, 'throughput') ?? 0;
    }
    const nominal = project.scenario.config.workload.classes;
    const basePerSecond = Object.values(nominal).reduce(
      (sum, { arrivals }) => sum + ('perSecond' in arrivals ? Number(arrivals.perSecond) : 0),
      0,
    );
    if (basePerSecond === 0 || capacityPerSecond === 0) throw new Error('the scenario names no rate, or nothing was answered');
    const rateScale = (number('share') * capacityPerSecond) / basePerSecond;
    console.log(`capacity ${capacityPerSecond.toFixed(1)}/s; load ${(rateScale * basePerSecond).toFixed(1)}/s for ${values.minutes} min`);
    startedAtMs = Date.now();

    let known: FootprintOf[] = [];
    let deploymentId = '';
    const sample = async () => {
      if (deploymentId !== '') known = await processesOf(project.target.id, deploymentId, join(folder.file('deployments'), deploymentId));
      for (const { name, pid } of [...known, { name: 'dmas-opt', pid: 'self' as const }]) {
        const found = footprintOf(pid);
        if (found) readings.push({ atMs: Date.now() - startedAtMs, name, ...found });
      }
    };
    const rest = async () => {
      await sleep(number('rest-seconds') * 1_000);
      collectGarbage();
      const heapMb = process.memoryUsage().heapUsed / 1024 ** 2;
      const found = [...known, { name: 'dmas-opt', pid: 'self' as const }].flatMap(({ name, pid }) => {
        const footprint = footprintOf(pid);
        return footprint === null ? [] : [[name, { ...footprint, ...(pid === 'self' ? { heapMb } : {}) }] as const];
      });
      atRest.push(Object.fromEntries(found));
      console.log(`at rest: ${found.map(([name, { rssMb, handles }]) => `${name} ${rssMb.toFixed(1)} MB ${handles} handles`).join(', ')}`);
    };
    const timer = setInterval(() => void sample().catch(() => {}), number('sample-seconds') * 1_000);
    try {
      for (let round = 2; Date.now() - startedAtMs < number('minutes') * 60_000; round += 1) {
        if (atRest.length === 0 && Date.now() - startedAtMs > number('settle-minutes') * 60_000) await rest();
        const { block } = await arena.block({ ...request(`soak-${round}`, round, number('block-seconds')), rateScale }, signal);
        deploymentId = block.deploymentId;
        blocks.push(block);
        const p50 = metricOf(block, 'latency.p50', Object.keys(block.classes)[0]);
        const faults = block.quality.faults.map(({ fault }) => fault).join(' ');
        const own = footprintOf('self');
        const minute = ((Date.now() - startedAtMs) / 60_000).toFixed(1);
        console.log(
          `${minute} min: p50 ${p50?.toFixed(0) ?? '?'} ms, dmas-opt ${own?.rssMb.toFixed(0)} MB ${own?.handles} handles ${faults}`,
        );
      }
      await rest();
    } finally {
      clearInterval(timer);
    }
  } finally {
    await arena.close();
    await laboratory.close?.();
  }
} finally {
  await collector.close();
  await rm(path, { recursive: true, force: true });
}

const minutes = (Date.now() - startedAtMs) / 60_000;
const settled = readings.filter(({ atMs }) => atMs > number('settle-minutes') * 60_000);
const rounded = (value: number | null, digits = 2) => (value === null ? null : Number(value.toFixed(digits)));
const series = (name: string, key: 'rssMb' | 'handles') => {
  const own = settled.flatMap((reading) =>
    reading.name === name && reading[key] !== null ? [{ atMs: reading.atMs, value: reading[key] }] : [],
  );
  const slope = slopeOf(own);
  return Object.fromEntries(Object.entries(slope).map(([part, value]) => [part, rounded(value)]));
};
const names = [...new Set(settled.map(({ name }) => name))].sort();
const replicas = Object.fromEntries(names.map((name) => [name, { rssMb: series(name, 'rssMb'), handles: series(name, 'handles') }]));
for (const [name, { rssMb, handles }] of Object.entries(replicas))
  console.log(
    `${name}: ${rssMb.perHour} MB/h [${rssMb.low}, ${rssMb.high}], ${rssMb.first} to ${rssMb.last} MB; ` +
      `${handles.perHour} handles/h [${handles.low}, ${handles.high}], ${handles.first} to ${handles.last}`,
  );
/** First and last reading at rest of every process that was there both times. */
function grownAtRest() {
  const [first, last] = [atRest[0] ?? {}, atRest.at(-1) ?? {}];
  const pair = (a: number | null | undefined, b: number | null | undefined) => [rounded(a ?? null), rounded(b ?? null)];
  return Object.fromEntries(
    Object.entries(last).flatMap(([name, now]) => {
      const then = first[name];
      if (then === undefined || atRest.length < 2) return [];
      const heap = now.heapMb === undefined ? {} : { heapMb: pair(then.heapMb, now.heapMb) };
      return [[name, { rssMb: pair(then.rssMb, now.rssMb), handles: pair(then.handles, now.handles), ...heap }]];
    }),
  );
}

const requests = blocks.flatMap(({ classes }) => Object.values(classes)).reduce((sum, each) => sum + each.requests, 0);
const answered = blocks.reduce((sum, block) => sum + (metricOf(block, 'throughput') ?? 0) * (block.durationMs / 1_000), 0);
const throttledSeconds = blocks.flatMap(({ usage }) => usage).reduce((sum, each) => sum + (each.throttledSeconds ?? 0), 0);
console.log(
  JSON.stringify({
    soak: {
      scenario: project.scenario.name,
      target: project.target.id,
      layout: values.layout,
      minutes: rounded(minutes, 1),
      capacityPerSecond: rounded(capacityPerSecond),
      share: number('share'),
      requests,
      answered: Math.round(answered),
      throttledSeconds: rounded(throttledSeconds),
      restarts: blocks.flatMap(({ usage }) => usage).reduce((sum, each) => sum + each.restarts, 0),
      invalidBlocks: blocks.filter(({ quality }) => !quality.valid).length,
      blocks: blocks.length,
      replicas,
      atRest: grownAtRest(),
    },
  }),
);
