import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, z } from '../../../compiler/api/index.ts';
import { type Application, control, type Deployed, deploy, errorOf, latch, until } from './harness.ts';

const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: Text });
const back = agent('back', { input: Text, output: Text, effect: 'readOnly' });
const layouts = [
  ['in one unit', [['front', 'back']]],
  ['in two units', [['front'], ['back']]],
] as const;

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});
async function run(application: Omit<Application, 'entry'>) {
  deployed = await deploy({ ...application, entry: front });
  return deployed;
}

describe.each(layouts)('limits %s', (_, groups) => {
  it('runs no more turns of an agent at once than it allows', async () => {
    let now = 0;
    let most = 0;
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(
          back,
          async (input) => {
            most = Math.max(most, ++now);
            await new Promise((resolve) => setTimeout(resolve, 5));
            now--;
            return input;
          },
          { concurrency: 2 },
        ),
      ],
    });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => ask({ text: String(i) })));
    expect(answers.map(({ body }) => (body as { text: string }).text)).toEqual(answers.map((_, i) => String(i)));
    expect(most).toBe(2);
  });

  it('answers overloaded when the queue is full, and says the handler never ran', async () => {
    const gate = latch();
    let ran = 0;
    const { ask } = await run({
      groups,
      queueLimit: 1,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(
          back,
          async (input) => {
            ran++;
            await gate.opened;
            return input;
          },
          { concurrency: 1 },
        ),
      ],
    });
    const all = Promise.all(['1', '2', '3', '4'].map((text) => ask({ text })));
    await until(() => ran === 1);
    const early = await Promise.race([all, new Promise((resolve) => setTimeout(() => resolve('waiting'), 50))]);
    expect(early).toBe('waiting');
    gate.open();
    const answers = await all;
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 429, 429]);
    expect(refused.map((answer) => errorOf(answer).component)).toEqual(['back', 'back']);
    expect(ran).toBe(2);
  });

  it('lets a request come back to an agent that waits for it, though its only slot is taken', async () => {
    const { ask } = await run({
      groups,
      deadlineMs: 2000,
      parts: [
        codeAgent(front, async ({ text }, ctx) => (text.length > 5 ? { text } : ctx.call(back, { text: `${text}.` })), {
          calls: [back],
          concurrency: 1,
        }),
        codeAgent(back, async ({ text }, ctx) => ctx.call(front, { text: `${text}-` }), { calls: [front], concurrency: 1 }),
      ],
    });
    expect((await ask({ text: 'x' })).body).toEqual({ text: 'x.-.-.-'.slice(0, 7) });
  });

  it('frees a place in the queue when the request that waits ends', async () => {
    const gate = latch();
    let ran = 0;
    const { ask, replicas } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(
          back,
          async (input) => {
            ran++;
            await gate.opened;
            return input;
          },
          { concurrency: 1 },
        ),
      ],
    });
    const first = ask({ text: 'first' });
    await until(() => ran === 1);
    const answer = await ask({ text: 'second' }, { 'x-dmas-deadline-ms': '40' });
    expect([answer.status, errorOf(answer).code]).toEqual([504, 'deadline']);
    const home = replicas.at(-1);
    const { body } = await control(home ?? (replicas[0] as never), 'GET', '/stats');
    expect(
      (body as { components: { component: string; waiting: number }[] }).components.find(({ component }) => component === 'back')?.waiting,
    ).toBe(0);
    gate.open();
    expect((await first).status).toBe(200);
    expect(ran).toBe(1);
  });
});
