import { SpanStatusCode } from '@opentelemetry/api';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, end, graphAgent, llmAgent, topic, z } from '../../../compiler/api/index.ts';
import type { PausedAnswer } from '../../../compiler/contracts/call-errors.ts';
import { pausesOf } from '../../../runtime/agent/pause.ts';
import { type Answer, type Application, control, type Deployed, deploy, errorOf, until } from './harness.ts';

const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: z.object({ text: z.string() }) });
const reviewer = agent('reviewer', { input: Text, output: z.object({ approved: z.boolean(), by: z.string() }) });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
async function run(application: Application): Promise<Deployed> {
  const deployed = await deploy(application);
  cleanups.push(deployed.close);
  return deployed;
}
const paused = (answer: Answer): PausedAnswer => {
  expect([answer.status, errorOf(answer).code]).toEqual([428, 'inputRequired']);
  return answer.body as PausedAnswer;
};
/** As a client goes on: the same input, all answers so far, and what the answer 428 said. */
const goOn = ({ ask }: Deployed, question: PausedAnswer, input: unknown, resume: object, url?: string) =>
  ask(
    { input, resume, pausedAtMs: question.pausedAtMs },
    {
      'x-dmas-resume': '1',
      'x-dmas-session': question.session,
      'x-dmas-request': question.request,
      ...(question.traceparent === undefined ? {} : { traceparent: question.traceparent }),
    },
    url,
  );

const decided = z.object({ yes: z.boolean(), by: z.string() });
let reviews = 0;
const review = codeAgent(
  reviewer,
  async ({ text }, ctx) => {
    reviews++;
    const answer = decided.parse(await ctx.pause({ question: `Publish "${text}"?` }));
    return { approved: answer.yes, by: answer.by };
  },
  { concurrency: 1 },
);
const desk = codeAgent(
  front,
  async ({ text }, ctx) => {
    const first = await ctx.call(reviewer, { text });
    const second = await ctx.call(reviewer, { text: `${text}!` });
    return { text: [text, first.approved, first.by, second.approved, second.by].join(' ') };
  },
  { calls: [reviewer] },
);
const layouts = [[[['front', 'reviewer']]], [[['front'], ['reviewer']]]] as const;

describe.each(layouts)('a pause in the layout %j', (groups) => {
  const application = { entry: front, groups, parts: [desk, review] } as const;

  it('asks one question after the other, and each answer meets its own', async () => {
    const deployed = await run(application);
    const first = paused(await deployed.ask({ text: 'a' }));
    expect(first.details).toMatchObject({ component: 'reviewer', prompt: { question: 'Publish "a"?' } });
    const one = { [first.details.id]: { yes: true, by: 'Ada' } };
    const second = paused(await goOn(deployed, first, { text: 'a' }, one));
    expect(second.details.prompt).toEqual({ question: 'Publish "a!"?' });
    expect(second.details.id).not.toBe(first.details.id);
    expect([second.session, second.request]).toEqual([first.session, first.request]);
    const both = { ...one, [second.details.id]: { yes: false, by: 'Bob' } };
    const answer = await goOn(deployed, second, { text: 'a' }, both);
    expect([answer.status, answer.body]).toEqual([200, { text: 'a true Ada false Bob' }]);
  });

  it('asks under the same id each time it is asked', async () => {
    const deployed = await run(application);
    const ids = [await deployed.ask({ text: 'b' }), await deployed.ask({ text: 'b' })].map((each) => paused(each).details.id);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).toMatch(/^reviewer\.[0-9a-f]{8}\.1$/);
  });

  it('holds no slot while a person thinks', async () => {
    const deployed = await run(application);
    const waiting = paused(await deployed.ask({ text: 'a' }));
    for (const replica of deployed.replicas) {
      const { body } = await control(replica, 'GET', '/stats');
      const stats = body as { inFlight: number; components: { inUse: number; waiting: number }[] };
      expect([stats.inFlight, ...stats.components.flatMap(({ inUse, waiting: queued }) => [inUse, queued])].every((n) => n === 0)).toBe(
        true,
      );
    }
    // The reviewer takes one at a time: another request gets through while the first one waits for its person.
    const other = paused(await deployed.ask({ text: 'z' }, { 'x-dmas-deadline-ms': '2000' }));
    expect(other.details.prompt).toEqual({ question: 'Publish "z"?' });
    expect(waiting.details.id).not.toBe(other.details.id);
  });

  it('is no failure: not repeated, not an error in the trace, and one trace over all its stretches', async () => {
    const deployed = await run({ ...application, repeatable: true, samplingRatio: 1 });
    reviews = 0;
    const first = paused(await deployed.ask({ text: 'a' }));
    expect(reviews).toBe(1);
    const resume = { [first.details.id]: { yes: true, by: 'Ada' } };
    const second = paused(await goOn(deployed, first, { text: 'a' }, resume));
    await goOn(deployed, second, { text: 'a' }, { ...resume, [second.details.id]: { yes: true, by: 'Ada' } });
    await until(() => deployed.spans.getFinishedSpans().filter(({ name }) => name === 'ingress').length === 3);
    const spans = deployed.spans.getFinishedSpans();
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(1);
    expect(spans.filter((span) => span.status.code === SpanStatusCode.ERROR)).toEqual([]);
    const known = new Set(spans.map((span) => span.spanContext().spanId));
    const roots = spans.filter((span) => span.parentSpanContext === undefined || !known.has(span.parentSpanContext.spanId));
    expect(roots.map(({ name }) => name)).toEqual(['ingress']);
    const outcomes = spans.filter(({ name }) => name === 'ingress').map(({ attributes }) => attributes['dmas.ingress.outcome']);
    expect(outcomes).toEqual(['inputRequired', 'inputRequired', 'ok']);
    expect(spans.filter(({ name }) => name === 'human wait').length).toBe(2);
    const turn = spans.find(({ name }) => name === 'invoke_agent reviewer');
    expect(turn?.attributes['dmas.paused']).toBe(first.details.id);
    expect(spans.some(({ attributes }) => 'error.type' in attributes)).toBe(false);
  });

  it('goes on at any replica, for nothing is remembered of it', async () => {
    const deployed = await run({ ...application, replicas: [2, 2] });
    const [here, there] = deployed.urls;
    const first = paused(await deployed.ask({ text: 'a' }, {}, here));
    const one = { [first.details.id]: { yes: true, by: 'Ada' } };
    const second = paused(await goOn(deployed, first, { text: 'a' }, one, there));
    const answer = await goOn(deployed, second, { text: 'a' }, { ...one, [second.details.id]: { yes: true, by: 'Bob' } }, here);
    expect(answer.body).toEqual({ text: 'a true Ada true Bob' });
  });

  it('is a question for the person, not for the model that called the agent', async () => {
    let asked = 0;
    const llm = llmAgent(front, { model: 'main', system: 's', agents: [reviewer] });
    const usage = { tokensIn: 1, tokensOut: 1, tokensCached: 0 };
    const deployed = await run({
      entry: front,
      groups,
      parts: [llm, review],
      model: {
        chat: async ({ messages }) => {
          asked++;
          const tools = messages.filter((message) => message.role === 'tool');
          const toolCalls =
            tools.length > 0 ? [] : ['x', 'y'].map((text) => ({ id: text, name: 'reviewer', arguments: JSON.stringify({ text }) }));
          return { text: tools.map(({ content }) => content).join(';'), toolCalls, finish: 'stop', usage, firstChunkMs: 1 };
        },
      },
    });
    const first = paused(await deployed.ask({ text: 'a' }));
    expect(asked).toBe(1);
    // Both calls paused at once: the first in the order of the model is asked.
    expect(first.details.prompt).toEqual({ question: 'Publish "x"?' });
    const one = { [first.details.id]: { yes: true, by: 'Ada' } };
    const second = paused(await goOn(deployed, first, { text: 'a' }, one));
    const answer = await goOn(deployed, second, { text: 'a' }, { ...one, [second.details.id]: { yes: false, by: 'Bob' } });
    expect(answer.body).toEqual({ text: '{"approved":true,"by":"Ada"};{"approved":false,"by":"Bob"}' });
  });

  it('in a branch of a graph ends the run, also where another branch waits at the join, and the answer starts it anew', async () => {
    const State = z.object({ text: z.string(), notes: z.array(z.string()).optional() }).loose();
    const graph = agent('front', { input: Text, output: z.object({ text: z.string() }) });
    const start = agent('start', { input: State, output: z.object({}) });
    const quick = agent('quick', { input: State, output: z.object({ notes: z.array(z.string()) }) });
    const slow = agent('reviewer', { input: State, output: z.object({ notes: z.array(z.string()) }) });
    const join = agent('join', { input: State, output: z.object({ text: z.string() }) });
    const members = [['front', 'start', 'quick', 'join'], ['reviewer']];
    const deployed = await run({
      entry: graph,
      groups: groups.length === 1 ? [members.flat()] : members,
      parts: [
        graphAgent(graph, {
          state: {
            text: { initial: '' },
            notes: { initial: [], reduce: (a: readonly string[], b: readonly string[]) => [...a, ...b] },
          },
          nodes: [start, quick, slow, join],
          start,
          edges: [
            { from: start, to: [quick, slow] },
            { from: [quick, slow], to: join },
            { from: join, to: end },
          ],
          finish: (state: { text: string }) => ({ text: state.text }),
        }),
        codeAgent(start, async () => ({})),
        codeAgent(quick, async () => ({ notes: ['quick'] })),
        codeAgent(slow, async (_state, ctx) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          return { notes: [String(await ctx.pause('Note?', 'note'))] };
        }),
        codeAgent(join, async ({ notes }) => ({ text: (notes ?? []).join('+') })),
      ],
    });
    const question = paused(await deployed.ask({ text: 'a' }, { 'x-dmas-deadline-ms': '3000' }));
    expect(question.details).toEqual({ id: 'note', component: 'reviewer', prompt: 'Note?' });
    expect((await goOn(deployed, question, { text: 'a' }, { note: 'mine' })).body).toEqual({ text: 'quick+mine' });
  });
});

describe('pauses', () => {
  it('an answer may be given before it is asked for, where the pause has an id', async () => {
    const deployed = await run({
      entry: front,
      groups: [['front']],
      parts: [codeAgent(front, async (_input, ctx) => ({ text: `${await ctx.pause('Sure?', 'consent')} ${Object.keys(ctx.resume)}` }))],
    });
    const answer = await deployed.ask({ input: { text: 'a' }, resume: { consent: 'yes' } }, { 'x-dmas-resume': '1' });
    expect(answer.body).toEqual({ text: 'yes consent' });
  });

  it('says what is wrong with a follow-up without answers', async () => {
    const deployed = await run({ entry: front, groups: [['front']], parts: [codeAgent(front, async (input) => input)] });
    for (const body of [{ text: 'a' }, { input: { text: 'a' }, resume: [] }, 'null']) {
      const answer = await deployed.ask(body, { 'x-dmas-resume': '1' });
      expect([answer.status, errorOf(answer).message]).toEqual([422, expect.stringContaining('"resume"')]);
    }
  });

  it('a stream that began ends with the question, and all that is needed to go on', async () => {
    const streaming = agent('front', { input: Text, output: Text, chunk: z.string() });
    const { urls } = await run({
      entry: streaming,
      groups: [['front']],
      parts: [
        codeAgent(streaming, async (_input, ctx) => {
          ctx.emit('thinking');
          return { text: String(await ctx.pause('Sure?', 'consent')) };
        }),
      ],
    });
    const stream = async (body: unknown, headers: { readonly [name: string]: string } = {}) => {
      const response = await fetch(`${urls[0]}/`, {
        method: 'POST',
        headers: { accept: 'text/event-stream', ...headers },
        body: JSON.stringify(body),
      });
      const events = (await response.text()).trim().split('\n\n');
      return events.map((event) => JSON.parse(event.slice('data: '.length)));
    };
    const [chunk, last] = await stream({ text: 'a' });
    expect(chunk).toEqual({ chunk: 'thinking' });
    expect(last.error).toMatchObject({ code: 'inputRequired', details: { id: 'consent' }, session: expect.any(String) });
    const rest = await stream({ input: { text: 'a' }, resume: { consent: 'ok' } }, { 'x-dmas-resume': '1' });
    expect(rest.at(-1)).toEqual({ output: { text: 'ok' } });
  });

  it('cannot be taken to anybody from a one-way message, and says so', async () => {
    const news = topic('news', Text);
    const done = topic('done', Text);
    const listener = agent('listener', { input: Text, output: z.unknown() });
    let failure: unknown;
    const deployed = await run({
      entry: { publish: news, complete: done },
      groups: [['listener']],
      topics: [
        { ref: news, subscribers: ['listener'] },
        { ref: done, subscribers: [] },
      ],
      parts: [
        codeAgent(
          listener,
          async (_input, ctx) => {
            failure = await ctx.pause('Sure?').catch((error: unknown) => error);
            await ctx.publish(done, { text: String(await ctx.pause('Sure?', 'known')) });
          },
          { publishes: [done], subscribes: [news] },
        ),
      ],
    });
    // Answers do travel with messages: only a question has nobody to carry it.
    const answer = await deployed.ask({ input: { text: 'a' }, resume: { known: 'ok' } }, { 'x-dmas-resume': '1' });
    expect(answer.body).toEqual({ text: 'ok' });
    expect(failure).toMatchObject({ code: 'failed', message: expect.stringContaining('one-way') });
  });

  it('takes only JSON for a question', async () => {
    const deployed = await run({
      entry: front,
      groups: [['front']],
      parts: [codeAgent(front, async (_input, ctx) => ({ text: String(await ctx.pause(new Date())) }))],
    });
    expect(errorOf(await deployed.ask({ text: 'a' })).code).toBe('invalid');
  });

  it('never takes an answer to one input for an answer to another, whatever the answers are', async () => {
    const text = fc.string({ maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(text, text, fc.integer({ min: 1, max: 4 }), async (one, other, n) => {
        const idsOf = async (body: unknown) => {
          const pause = pausesOf('a', { body, pattern: 'request', scope: {} as never });
          const ids: string[] = [];
          for (let i = 0; i < n; i++) ids.push(await pause('?').then(String, (error) => error.value.details.id));
          return ids;
        };
        const [ids, again, others] = await Promise.all([idsOf({ one }), idsOf({ one }), idsOf({ one: other })]);
        expect(ids).toEqual(again);
        expect(new Set(ids).size).toBe(n);
        if (one !== other) expect(ids?.some((id) => others?.includes(id))).toBe(false);
      }),
    );
  });
});
