import { afterEach, describe, expect, it } from 'vitest';
import { agent, CallError, codeAgent, z } from '../../../compiler/api/index.ts';
import { type Application, type Deployed, deploy, errorOf } from './harness.ts';

const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: Text });
const back = agent('back', { input: Text, output: Text, effect: 'readOnly' });

/** Each layout must give the same answers. */
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

describe.each(layouts)('calls %s', (_, groups) => {
  it('answers through a chain of agents', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text: `${text}!` }), { calls: [back] }),
        codeAgent(back, async ({ text }) => ({ text: text.toUpperCase() })),
      ],
    });
    expect(await ask({ text: 'hello' })).toMatchObject({ status: 200, body: { text: 'HELLO!' } });
  });

  it('brings a thrown error to the caller as a typed one, who may go on', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(
          front,
          async ({ text }, ctx) => {
            try {
              return await ctx.call(back, { text });
            } catch (error) {
              if (!(error instanceof CallError)) throw error;
              return { text: `${error.code} in ${error.value.component}: ${error.message}` };
            }
          },
          { calls: [back] },
        ),
        codeAgent(back, async () => {
          throw new TypeError('no luck');
        }),
      ],
    });
    expect((await ask({ text: 'x' })).body).toEqual({ text: 'failed in back: no luck' });
  });

  it('refuses what does not fit a schema, naming the component', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(back, async ({ text }) => (text === 'bad output' ? ({ wrong: 1 } as never) : { text })),
      ],
    });
    const input = await ask({ txt: 1 });
    expect([input.status, errorOf(input)]).toMatchObject([422, { code: 'invalid', component: 'front' }]);
    const output = await ask({ text: 'bad output' });
    expect([output.status, errorOf(output)]).toMatchObject([422, { code: 'invalid', component: 'back' }]);
  });

  it('refuses a message that is not JSON in either layout', async () => {
    const Loose = z.object({ value: z.any() });
    const looseBack = agent('back', { input: Loose, output: Text });
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(looseBack, { value: text === 'date' ? new Date(0) : Number.NaN }), {
          calls: [looseBack],
        }),
        codeAgent(looseBack, async ({ value }) => ({ text: String(value) })),
      ],
    });
    expect(errorOf(await ask({ text: 'date' }))).toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('an instance of Date'),
    });
    expect(errorOf(await ask({ text: 'nan' }))).toMatchObject({ code: 'invalid', message: expect.stringContaining('at value: NaN') });
  });

  it('refuses a channel the agent did not declare', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) =>
          (ctx.call as never as (ref: unknown, input: unknown) => Promise<{ text: string }>)(back, { text }),
        ),
        codeAgent(back, async (input) => input),
      ],
    });
    const answer = await ask({ text: 'x' });
    expect([answer.status, errorOf(answer).code]).toEqual([404, 'unknown']);
  });

  it('ends a call at the deadline, and tells the handler', async () => {
    const aborted: string[] = [];
    const { ask } = await run({
      groups,
      deadlineMs: 60,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(
          back,
          (_input, ctx) =>
            new Promise((resolve) => ctx.signal.addEventListener('abort', () => resolve({ text: aborted.push('back') ? 'late' : '' }))),
        ),
      ],
    });
    const answer = await ask({ text: 'x' });
    expect([answer.status, errorOf(answer).code]).toEqual([504, 'deadline']);
    await expect.poll(() => aborted).toEqual(['back']);
  });

  it('takes the shorter of the plan deadline and the one the user asks for', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(front, async ({ text }, ctx) => ctx.call(back, { text }), { calls: [back] }),
        codeAgent(back, () => new Promise(() => {})),
      ],
      drainMs: 50,
    });
    expect((await ask({ text: 'x' }, { 'x-dmas-deadline-ms': '40' })).status).toBe(504);
  });

  it('lets a handler give one call less time', async () => {
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(
          front,
          async ({ text }, ctx) => ctx.call(back, { text }, { timeoutMs: 30 }).catch((error: CallError) => ({ text: error.code })),
          { calls: [back] },
        ),
        codeAgent(back, () => new Promise(() => {})),
      ],
      drainMs: 50,
    });
    expect((await ask({ text: 'x' })).body).toEqual({ text: 'deadline' });
  });

  it('streams chunks and cancels the callee when the reader stops', async () => {
    const Chunk = z.object({ n: z.number() });
    const counting = agent('back', { input: Text, output: Text, chunk: Chunk });
    let stopped = false;
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(
          front,
          async ({ text }, ctx) => {
            const seen: number[] = [];
            for await (const { n } of ctx.stream(counting, { text })) {
              seen.push(n);
              if (text === 'stop' && n === 2) break;
            }
            return { text: seen.join() };
          },
          { calls: [counting] },
        ),
        codeAgent(counting, async ({ text }, ctx) => {
          for (let n = 1; n <= 3; n++) ctx.emit({ n });
          if (text === 'stop') await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
          stopped = ctx.signal.aborted;
          return { text: 'done' };
        }),
      ],
    });
    expect((await ask({ text: 'all' })).body).toEqual({ text: '1,2,3' });
    expect((await ask({ text: 'stop' })).body).toEqual({ text: '1,2' });
    await expect.poll(() => stopped).toBe(true);
  });

  it('sends one way: the caller goes on, and the callee outlives it', async () => {
    const seen: string[] = [];
    const { ask } = await run({
      groups,
      parts: [
        codeAgent(
          front,
          async ({ text }, ctx) => {
            await ctx.send(back, { text });
            return { text: 'sent' };
          },
          { calls: [back] },
        ),
        codeAgent(back, async ({ text }, ctx) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (!ctx.signal.aborted) seen.push(text);
          return { text };
        }),
      ],
    });
    expect((await ask({ text: 'x' })).body).toEqual({ text: 'sent' });
    expect(seen).toEqual([]);
    await expect.poll(() => seen).toEqual(['x']);
  });
});

describe('messages in one process', () => {
  it('are frozen under DMAS_FREEZE, so that a handler that writes to shared parts is found', async () => {
    const Loose = z.object({ shared: z.any() });
    const loose = agent('back', { input: Loose, output: Text });
    process.env.DMAS_FREEZE = '1';
    try {
      const { ask } = await run({
        groups: [['front', 'back']],
        parts: [
          codeAgent(front, async ({ text }, ctx) => ctx.call(loose, { shared: { list: [text] } }), { calls: [loose] }),
          codeAgent(loose, async ({ shared }) => ({ text: String(shared.list.push('more')) })),
        ],
      });
      expect(errorOf(await ask({ text: 'x' }))).toMatchObject({
        code: 'failed',
        component: 'back',
        message: expect.stringContaining('not extensible'),
      });
    } finally {
      delete process.env.DMAS_FREEZE;
    }
  });
});
