import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Project } from '../../cli/project.ts';
import { type Configuration, canonicalConfiguration, type Mobility, onePerComponent } from '../../compiler/contracts/index.ts';
import {
  type Answer,
  type Application,
  type Bench,
  configurationOf,
  coverInputOf,
  describeCase,
  openBench,
  type Request,
  scenarioFolder,
} from './deploy.ts';
import { pairwiseCover } from './pairwise.ts';
import { settledTraces, type TraceFacts } from './traces.ts';

/** The whole cover takes minutes; without DMAS_OPT_FULL only the layouts that add most to it are deployed. */
const whole = process.env.DMAS_OPT_FULL === '1';
const few = 5;

interface Outcome {
  readonly answers: { readonly [request: string]: Answer };
  readonly traces: TraceFacts;
}

/** Every input of every class, some of them streamed, and conversations of several requests where agents remember any. */
function requestsOf({ workload, workflow }: Project): {
  readonly single: readonly Request[];
  readonly sessions: readonly (readonly Request[])[];
} {
  const single = workload.classes.flatMap(({ name, inputs }) => inputs.map((input, n): Request => ({ id: `${name}-${n}`, input })));
  const [first] = workload.classes;
  const streamed = (first?.inputs ?? []).slice(0, 2).map((input, n): Request => ({ id: `streamed-${n}`, input, stream: true }));
  const remembers = workflow.agents.some((agent) => agent.usesSessionState);
  const sessions = (remembers ? ['a', 'b'] : []).map((session) =>
    (first?.inputs ?? []).slice(0, 3).map((input, n): Request => ({ id: `session-${session}-${n}`, input, session })),
  );
  return { single: [...single, ...streamed], sessions };
}

async function exercise(application: Application, project: Project, expected?: Outcome): Promise<Outcome> {
  const { single, sessions } = requestsOf(project);
  const answers: Record<string, Answer> = {};
  const ask = async (request: Request) => {
    answers[request.id] = await application.ask(request);
  };
  await Promise.all([
    ...single.map(ask),
    ...sessions.map(async (requests) => {
      for (const request of requests) await ask(request);
    }),
  ]);
  // The reference has nothing to compare with: work that goes on after an answer gets a moment instead.
  if (expected === undefined) await sleep(300);
  const count = Object.keys(answers).length;
  const traces = await settledTraces(application, ({ breaks, work }) =>
    expected === undefined
      ? breaks.length === 0 && Object.keys(work).length === count
      : breaks.length === 0 && Object.entries(expected.traces.work).every(([request, names]) => work[request] === names),
  );
  return { answers, traces };
}

/** Two of everything that may move and keeps no session of its own. */
function replicated({ workflow, space, defaults }: Project): Configuration {
  const plain = onePerComponent(workflow, defaults);
  const fixed: Mobility = 'movable';
  const may = new Set(
    [...workflow.agents.filter((agent) => !agent.usesSessionState), ...workflow.toolServers]
      .filter((component) => component.mobility === fixed && space.components.includes(component.name))
      .map((component) => component.name),
  );
  return canonicalConfiguration({
    ...plain,
    units: plain.units.map((unit) => ({ ...unit, replicas: unit.components.every((name) => may.has(name)) ? 2 : 1 })),
  });
}

/** Proves for one example that answers, and the work behind them, do not depend on where its parts run. */
export async function answersAgree(name: string, stores: readonly string[] = []): Promise<void> {
  const benches: Bench[] = [];
  const open = async (store?: string) => {
    const bench = await openBench(`${scenarioFolder(name)}/scenario.yaml`, store);
    benches.push(bench);
    return bench;
  };
  const bench = await open();
  const { project } = bench;
  const cover = pairwiseCover(coverInputOf(project));
  const chosen = whole ? cover : cover.slice(0, few);

  describe(`${name} answers the same in every placement`, () => {
    let reference: Outcome;
    beforeAll(async () => {
      reference = await bench.with(onePerComponent(project.workflow, project.defaults), (application) => exercise(application, project));
    });
    afterAll(() => Promise.all(benches.map((each) => each.close())));

    const agrees = async (where: Bench, configuration: Configuration) => {
      const outcome = await where.with(configuration, (application) => exercise(application, project, reference));
      expect(outcome.answers).toEqual(reference.answers);
      expect(outcome.traces).toEqual(reference.traces);
    };

    it('answers everything with one component per unit, each request in one unbroken trace', () => {
      const { single, sessions } = requestsOf(project);
      const ids = [...single, ...sessions.flat()].map((request) => request.id).sort();
      expect(Object.keys(reference.answers).sort()).toEqual(ids);
      expect(Object.values(reference.answers).filter((answer) => answer.status !== 200)).toEqual([]);
      expect(reference.traces.breaks).toEqual([]);
      expect(Object.keys(reference.traces.work).sort()).toEqual(ids);
      for (const names of Object.values(reference.traces.work)) expect(names).toContain('invoke_agent');
    });

    it.each(chosen.map((each) => [describeCase(each), each] as const))('%s', (_, each) => agrees(bench, configurationOf(project, each)));

    it('two replicas of every stateless component', () => agrees(bench, replicated(project)));

    it.each(stores)('with state in the store %s', async (store) => {
      const other = await open(store);
      const twice = onePerComponent(project.workflow, project.defaults);
      await agrees(other, canonicalConfiguration({ ...twice, units: twice.units.map((unit) => ({ ...unit, replicas: 2 })) }));
    });
  });
}
