import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bundlePlan } from '../../../compiler/bundle.ts';
import {
  type Bundle,
  bindingVariable,
  httpUrl,
  type Peers,
  type Plan,
  type ProcessBinding,
  type StartedReport,
  startedPrefix,
  type Workflow,
} from '../../../compiler/contracts/index.ts';
import { langgraph } from '../../../compiler/frontends/langgraph.ts';
import { readWorkflow } from '../../../compiler/frontends/read-workflow.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { planRequest, scenario } from '../support.ts';

const folder = join(import.meta.dirname, '../../fixtures/workflows/langgraph');
let workflow: Workflow;
beforeAll(async () => {
  const result = await readWorkflow({ specifier: './workflow.ts', folder, frontends: [langgraph] });
  if (result.workflow === undefined) throw new Error(JSON.stringify(result.problems));
  workflow = result.workflow;
});

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start({ id, code }: Bundle, plan: Plan, place: string): Promise<StartedReport> {
  const unit = plan.units.find((candidate) => candidate.id === id);
  const anywhere = { host: '127.0.0.1', port: 0 };
  const addresses = [...(unit?.listens.map((listener) => listener.address) ?? []), ...(unit?.ingress === true ? ['ingress'] : [])];
  const binding: ProcessBinding = {
    deploymentId: 'test',
    id,
    replica: 0,
    instanceId: `${id}.0`,
    control: anywhere,
    listen: Object.fromEntries(addresses.map((address) => [address, anywhere])),
    peers: {},
    otlpEndpoints: [],
    samplingRatio: 0,
    stateDir: place,
    queueLimit: 100,
    drainMs: 500,
  };
  await writeFile(join(place, `${id}.json`), JSON.stringify(binding));
  await writeFile(join(place, `${id}.mjs`), code);
  const child = spawn(process.execPath, [join(place, `${id}.mjs`)], {
    env: { [bindingVariable]: join(place, `${id}.json`) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUps.push(() => end(child));
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith(startedPrefix)) return JSON.parse(line.slice(startedPrefix.length));
  }
  throw new Error(`unit ${id} ended before it started`);
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  return gone;
}

/** Deploys the layout as processes, sends the inputs at once, and gives the answers in order. */
async function answers(layout: unknown, inputs: readonly unknown[]): Promise<unknown[]> {
  const { configuration } = baselineConfiguration(workflow, scenario({ models: {}, baseline: { layout } }));
  const { plan, problems } = planDeployment(planRequest(workflow, configuration));
  if (plan === undefined) throw new Error(JSON.stringify(problems));
  const place = await mkdtemp(join(tmpdir(), 'dmas-opt-test-'));
  cleanUps.push(() => rm(place, { recursive: true, force: true }));
  const bundles = await bundlePlan({ plan, workflow });
  const reports = await Promise.all(bundles.map((bundle) => start(bundle, plan, place)));
  const peers: Peers = Object.fromEntries(
    reports.flatMap(({ listen }, index) =>
      Object.entries(listen).map(([address, at]) => [address, [{ replica: 0, instanceId: `${bundles[index]?.id}.0`, at }]]),
    ),
  );
  for (const { control } of reports) await fetch(`${httpUrl(control)}/peers`, { method: 'PUT', body: JSON.stringify(peers) });
  const ingress = reports.map((report) => report.listen.ingress).find((at) => at !== undefined);
  if (ingress === undefined) throw new Error('no unit has the ingress');
  return Promise.all(
    inputs.map(async (input) => (await fetch(`${httpUrl(ingress)}/`, { method: 'POST', body: JSON.stringify(input) })).json()),
  );
}

describe('a LangGraph.js graph', () => {
  it('is a hub that calls its nodes', () => {
    expect(workflow.agents.map(({ name, kind, effect, domains }) => ({ name, kind, effect, domains }))).toEqual([
      { name: 'essay', kind: 'code', effect: 'idempotent', domains: [] },
      { name: 'write', kind: 'langgraph-node', effect: 'idempotent', domains: [] },
      { name: 'peer-review', kind: 'langgraph-node', effect: 'readOnly', domains: ['internet'] },
    ]);
    expect(workflow.channels.map((channel) => channel.id)).toEqual(['essay->peer-review', 'essay->write']);
    expect(workflow.agents.map((agent) => agent.description)).toEqual([
      'runs the graph essay',
      'node write, goes on to peer_review',
      'node peer_review, goes on to write or the end',
    ]);
  });

  it('gives the framework’s own answers in every layout, for requests at the same time', async () => {
    const inputs = ['a', 'bb', 'ccc', 'dddd'].map((text) => ({ text }));
    const { essay } = (await import('../../fixtures/workflows/langgraph/workflow.ts')) as {
      essay: { invoke(input: unknown): Promise<unknown> };
    };
    const wanted = await Promise.all(inputs.map((input) => essay.invoke(input)));
    expect(wanted[0]).toMatchObject({ text: 'a...', rounds: 3 });
    for (const layout of ['one-per-agent', 'all-in-one', [['essay', 'write'], ['peer-review']]]) {
      expect(await answers(layout, inputs)).toEqual(wanted);
    }
  });
});
