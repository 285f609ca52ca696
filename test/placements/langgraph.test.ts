import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Configuration, canonicalConfiguration, fromPartition, onePerComponent } from '../../compiler/contracts/index.ts';
import { type Answer, type Application, type Bench, openBench, type Request, scenarioFolder, wires } from './deploy.ts';
import { settledTraces } from './traces.ts';

/** The whole run adds each layout over the other protocol, and two replicas of everything. */
const whole = process.env.DMAS_OPT_FULL === '1';

/** Ids of messages and of pauses are made up anew for each run; in order of appearance they can be compared. */
function comparable({ status, output, streamed }: Answer): unknown {
  const known = new Map<string, string>();
  const numbered = (text: string) =>
    text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=complaint:)[0-9a-f]{32}/g, (id) => {
      if (!known.has(id)) known.set(id, `id-${known.size}`);
      return known.get(id) ?? id;
    });
  // Where and when a question was asked is the deployment's.
  const asked = output.replace(/"pausedAtMs":[\d.]+/, '').replace(/"traceparent":"[^"]*"/, '');
  return { status, output: numbered(asked), streamed: numbered(streamed) };
}

interface Example {
  readonly name: string;
  /** Requests of one conversation each, in order. */
  readonly conversations: readonly (readonly Request[])[];
  /** What must stand in the answers, so that equal answers are not equally wrong. */
  readonly says: readonly RegExp[];
  /** Calls from the hub to nodes per conversation, with all nodes in one other unit. */
  readonly roundTrips: readonly number[];
}

const talk = (id: string, ...inputs: readonly unknown[]) => inputs.map((input, n): Request => ({ id: `${id}-${n}`, input, session: id }));
const content = JSON.stringify({ part: 'brake disc', city: 'Oslo' });

const examples: readonly Example[] = [
  {
    name: 'langgraph-tools',
    conversations: [
      talk('a', { messages: [{ role: 'user', content }] }),
      talk('b', { messages: [{ role: 'user', content: content.replace('Oslo', 'Rome') }] }),
    ],
    says: [/"name":"stock"/, /pieces/, /"type":"tool"/, /brake disc/],
    // Model, tools, model again: one call.
    roundTrips: [1, 1],
  },
  {
    name: 'langgraph-supervisor',
    conversations: [talk('a', { question: 'May we ship batteries?' })],
    says: [
      /"answer":"[^"]+/,
      /"section":"prices".*"section":"costs".*"section":"rules".*"section":"risks".*"section":"deadlines"/,
      /"rounds":2/,
    ],
    // The supervisor; five workers that were sent; who collects, each time with whoever comes next.
    roundTrips: [8],
  },
  {
    name: 'langgraph-approval',
    conversations: [
      talk('small', { request: 'A scratch.', amount: 15 }),
      talk('yes', { request: 'A broken frame.', amount: 900 }, { command: { resume: 'yes' } }),
      talk('no', { request: 'A broken frame.', amount: 900 }, { command: { resume: 'no' } }),
    ],
    says: [/paid 15/, /inputRequired.*Pay 900 euros/, /decided: yes.*paid 900/, /decided: no.*refused/],
    // All three nodes; up to the question, which needs its node asked by itself; the answer, alone, then the rest.
    roundTrips: [1, 4, 4],
  },
];

async function exercise(
  application: Application,
  { conversations }: Example,
): Promise<{ answers: unknown; trips: readonly number[]; work: unknown; text: string }> {
  const answers: Record<string, unknown> = {};
  let text = '';
  await Promise.all(
    conversations.map(async (requests) => {
      for (const request of requests) {
        const answer = await application.ask(request);
        answers[request.id] = comparable(answer);
        text += `${request.id} ${answer.output}\n`;
      }
    }),
  );
  const count = conversations.flat().length;
  const traces = await settledTraces(application, ({ breaks, work }) => breaks.length === 0 && Object.keys(work).length === count);
  expect(traces.breaks).toEqual([]);
  const spans = await application.spans();
  const requestOf = new Map(
    spans.flatMap((span) => (span.name === 'ingress' ? [[span.traceId, String(span.attributes['dmas.request.id'])] as const] : [])),
  );
  const trips = conversations.map(
    (requests) =>
      new Set(
        spans
          .filter((span) => span.name.startsWith('call ') && span.attributes['rpc.system'] !== 'inproc')
          .filter((span) => requests.some(({ id }) => id === requestOf.get(span.traceId)))
          .map((span) => span.spanId),
      ).size,
  );
  return { answers, trips, work: traces.work, text };
}

describe.each(examples.map((example) => [example.name, example] as const))('%s, unchanged', (name, example) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench(`${scenarioFolder(name)}/scenario.yaml`, undefined, true);
  });
  afterAll(() => bench.close());

  const run = (configuration: Configuration) => bench.with(configuration, (application) => exercise(application, example));

  it('answers the same in one unit, in one per node, and with all nodes in one other unit', async () => {
    const { workflow, defaults } = bench.project;
    const names = workflow.agents.map((agent) => agent.name);
    const [hub = '', ...nodes] = names;
    const spoken = (wire: string) => ({ ...defaults, protocol: wires[wire] ?? defaults.protocol });
    const one = await run(fromPartition(workflow, [names], defaults));
    for (const said of example.says) expect(one.text).toMatch(said);
    expect(one.trips.every((trips) => trips === 0)).toBe(true);
    const apart = await run(onePerComponent(workflow, spoken('http-json')));
    expect(apart.answers).toEqual(one.answers);
    expect(apart.work).toEqual(one.work);
    const together = await run(fromPartition(workflow, [[hub], nodes], spoken('grpc')));
    expect(together.answers).toEqual(one.answers);
    expect(together.trips).toEqual(example.roundTrips);
    if (!whole) return;
    for (const layout of [onePerComponent(workflow, spoken('grpc')), fromPartition(workflow, [[hub], nodes], spoken('http-json'))])
      expect((await run(layout)).answers).toEqual(one.answers);
    const plain = onePerComponent(workflow, defaults);
    const twice = canonicalConfiguration({ ...plain, units: plain.units.map((unit) => ({ ...unit, replicas: 2 })) });
    expect((await run(twice)).answers).toEqual(one.answers);
  }, 120_000);
});
