import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, topic, z } from '../../../compiler/api/index.ts';
import { type Application, type Deployed, deploy, until } from './harness.ts';

const Message = z.object({ n: z.number() });
const Nothing = z.any();
const questions = topic('questions', Message);
const drafts = topic('drafts', Message);
const reviews = topic('reviews', Message);
const answers = topic('answers', Message);
const jobs = topic('jobs', Message, 'anycast');

const writer = agent('writer', { input: Message, output: Nothing });
const reviewer = agent('reviewer', { input: Message, output: Nothing });
const editor = agent('editor', { input: Message, output: Nothing });
const start = agent('start', { input: Message, output: Message });

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});
async function run(application: Application) {
  deployed = await deploy(application);
  return deployed;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const layouts: [string, string[][]][] = [
  ['in one unit', [['start', 'writer', 'reviewer', 'editor']]],
  ['in a unit each', [['start'], ['writer'], ['reviewer'], ['editor']]],
  [
    'in two units',
    [
      ['start', 'reviewer'],
      ['writer', 'editor'],
    ],
  ],
];

describe.each(layouts)('topics %s', (_, groups) => {
  const idle = [codeAgent(writer, async () => null), codeAgent(reviewer, async () => null), codeAgent(editor, async () => null)];

  it('give every subscriber each message in the order it was published, one at a time', async () => {
    const seen: Record<string, number[]> = { writer: [], reviewer: [] };
    let running = 0;
    let most = 0;
    const listens = (ref: typeof writer) =>
      codeAgent(ref, async ({ n }) => {
        if (ref.name === 'writer') most = Math.max(most, ++running);
        await wait(n % 3);
        if (ref.name === 'writer') running--;
        seen[ref.name]?.push(n);
      });
    const numbers = Array.from({ length: 15 }, (_unused, n) => n);
    const { ask } = await run({
      groups,
      entry: start,
      topics: [{ ref: drafts, subscribers: ['writer', 'reviewer'] }],
      parts: [
        codeAgent(
          start,
          async (input, ctx) => {
            await Promise.all(numbers.map((n) => ctx.publish(drafts, { n })));
            return input;
          },
          { publishes: [drafts] },
        ),
        listens(writer),
        listens(reviewer),
        idle[2] as never,
      ],
    });
    expect((await ask({ n: 1 })).status).toBe(200);
    await expect.poll(() => seen).toEqual({ writer: numbers, reviewer: numbers });
    expect(most).toBe(1);
  });

  it('bring no message before one that caused it', async () => {
    const seen: string[] = [];
    const { ask } = await run({
      groups,
      entry: start,
      topics: [
        { ref: drafts, subscribers: ['reviewer', 'editor'] },
        { ref: reviews, subscribers: ['editor'] },
      ],
      parts: [
        codeAgent(
          start,
          async (input, ctx) => {
            for (let n = 1; n <= 5; n++) await ctx.publish(drafts, { n });
            return input;
          },
          { publishes: [drafts] },
        ),
        idle[0] as never,
        // The review is out before slow drafts are through at the editor.
        codeAgent(reviewer, async ({ n }, ctx) => ctx.publish(reviews, { n: n * 10 }), { publishes: [reviews] }),
        codeAgent(editor, async ({ n }) => {
          if (n < 10) await wait(5);
          seen.push(String(n));
        }),
      ],
    });
    await ask({ n: 1 });
    await until(() => seen.length === 10);
    for (let n = 1; n <= 5; n++) expect(seen.indexOf(String(n))).toBeLessThan(seen.indexOf(String(n * 10)));
  });

  it('choose one subscriber of an anycast topic by the conversation alone', async () => {
    const takers = new Map<number, string>();
    const takes = (ref: typeof writer) => codeAgent(ref, async ({ n }) => void takers.set(n, ref.name));
    const { ask } = await run({
      groups,
      entry: start,
      topics: [{ ref: jobs, subscribers: ['writer', 'reviewer', 'editor'] }],
      parts: [
        codeAgent(start, async (input, ctx) => ctx.publish(jobs, input).then(() => input), { publishes: [jobs] }),
        takes(writer),
        takes(reviewer),
        takes(editor),
      ],
    });
    for (let n = 0; n < 12; n++) await ask({ n }, { 'x-dmas-session': `s${n % 6}` });
    await until(() => takers.size === 12);
    const chosen = Array.from({ length: 12 }, (_unused, n) => takers.get(n));
    expect(chosen.slice(0, 6)).toEqual(chosen.slice(6));
    expect(chosen.slice(0, 6)).toEqual(expectedTakers);
  });

  it('complete a request with the first message of it on the completion topic', async () => {
    const { ask } = await run({
      groups,
      entry: { publish: questions, complete: answers },
      topics: [
        { ref: questions, subscribers: ['writer'] },
        { ref: drafts, subscribers: ['reviewer'] },
        { ref: answers, subscribers: [] },
      ],
      parts: [
        codeAgent(start, async (input) => input),
        codeAgent(writer, async ({ n }, ctx) => ctx.publish(drafts, { n: n + 1 }), { publishes: [drafts] }),
        codeAgent(
          reviewer,
          async ({ n }, ctx) => {
            await ctx.publish(answers, { n: n * 2 });
            await ctx.publish(answers, { n: -1 });
          },
          { publishes: [answers] },
        ),
        idle[2] as never,
      ],
    });
    const answered = await Promise.all([1, 2, 3, 4].map((n) => ask({ n }, { 'x-dmas-session': 'same' })));
    expect(answered.map(({ status, body }) => [status, body])).toEqual([4, 6, 8, 10].map((n) => [200, { n }]));
    const refused = await ask({ m: 1 });
    expect([refused.status, (refused.body as { code: string }).code]).toEqual([422, 'invalid']);
  });
});

/** Fixed, so that a change of the hash, which would move conversations of running deployments, is noticed. */
const expectedTakers = ['reviewer', 'editor', 'reviewer', 'editor', 'editor', 'writer'];

describe('a completion topic with several replicas of the ingress', () => {
  it('answers at the replica that took the request', async () => {
    const { ask, urls } = await run({
      groups: [['start'], ['writer']],
      replicas: [3, 1],
      entry: { publish: questions, complete: answers },
      topics: [
        { ref: questions, subscribers: ['writer'] },
        { ref: answers, subscribers: [] },
      ],
      deadlineMs: 3000,
      parts: [
        codeAgent(start, async (input) => input),
        codeAgent(writer, async ({ n }, ctx) => ctx.publish(answers, { n: n * 2 }), { publishes: [answers] }),
      ],
    });
    const all = await Promise.all(Array.from({ length: 12 }, (_unused, n) => ask({ n }, {}, urls[n % 3])));
    expect(all.map(({ body }) => body)).toEqual(all.map((_unused, n) => ({ n: n * 2 })));
  });
});
