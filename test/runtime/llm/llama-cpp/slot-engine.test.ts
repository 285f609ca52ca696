import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFileOf } from '../../../../runtime/llm/llama-cpp/model-file.ts';
import { type Llama, type LlamaContext, loadLlamaPackage, openLlama } from '../../../../runtime/llm/llama-cpp/peer.ts';
import { createSlotEngine, type SlotEngine, type SlotTimings } from '../../../../runtime/llm/llama-cpp/slot-engine.ts';
import { hasLlama } from './support.ts';

/** Sees the calls that node-llama-cpp makes to llama.cpp itself. */
function watched(context: LlamaContext): { readonly batches: number[] } {
  const batches: number[] = [];
  const inside = context as unknown as { _ctx: object };
  inside._ctx = new Proxy(inside._ctx, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]) => {
        if (name === 'initBatch') batches.push(given[0] as number);
        return Reflect.apply(member, target, given);
      };
    },
  });
  return { batches };
}

describe.skipIf(!hasLlama)('the slot engine', () => {
  let llama: Llama;
  let context: LlamaContext;
  let engine: SlotEngine;
  beforeAll(async () => {
    llama = await openLlama(await loadLlamaPackage(), 1);
    const model = await llama.loadModel({ modelPath: modelFileOf('random-8m', 1) });
    context = await model.createContext({ contextSize: 512, sequences: 4, batchSize: 64, threads: 1, failedCreationRemedy: false });
    engine = createSlotEngine(context, { slots: 4, prefixReuse: true });
  });
  afterAll(async () => {
    await engine.stop();
    await llama.dispose();
  });

  const ask = (tokensIn: number, tokensOut: number, number: number) =>
    new Promise<SlotTimings>((onFinished, onFailed) => {
      const prompt = Array.from({ length: tokensIn }, (_, index) => 300 + ((index * 7 + number * 131) % 1500));
      engine.submit({ prompt, tokensOut, sampling: { temperature: 0 }, onToken: () => 'not yet', onFinished, onFailed });
    });

  it('makes one batch of llama.cpp of every step, filled as planned', async () => {
    const { batches } = watched(context);
    const asked = [
      [100, 20],
      [5, 30],
      [200, 10],
      [64, 5],
      [30, 9],
      [70, 12],
    ] as const;
    const timings = await Promise.all(asked.map(([tokensIn, tokensOut], index) => ask(tokensIn, tokensOut, index)));
    expect(timings.map(({ tokensOut }) => tokensOut)).toEqual(asked.map(([, tokensOut]) => tokensOut));
    expect(engine.stats().steps).toBe(batches.length);
    expect(Math.max(...batches)).toBe(64);
    // Each prompt token once, and each token of a reply but the last.
    const computed = asked.reduce((sum, [tokensIn, tokensOut]) => sum + tokensIn + tokensOut - 1, 0);
    expect(batches.reduce((sum, size) => sum + size, 0)).toBe(computed - timings.reduce((sum, { tokensCached }) => sum + tokensCached, 0));
    // The four prompts with slots fill the first steps; the fifth and sixth wait for a slot.
    expect(batches.slice(0, 5)).toEqual([64, 64, 64, 64, 64]);
    expect(Math.min(...timings.slice(4).map(({ queuedMs }) => queuedMs))).toBeGreaterThan(
      Math.max(...timings.slice(0, 4).map(({ queuedMs }) => queuedMs)),
    );
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, promptTokens: 469, outputTokens: 86 });
  });

  it('tells a failure of llama.cpp to the request it hit, and goes on', async () => {
    await expect(ask(20, 600, 1).then(() => 'through')).resolves.toBe('through');
    const inside = context as unknown as { _ctx: { addToBatch: unknown } };
    const whole = inside._ctx;
    inside._ctx = new Proxy(whole, {
      get: (target, name) => {
        if (name === 'addToBatch')
          return () => {
            throw new Error('no room');
          };
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    await expect(ask(20, 3, 77)).rejects.toThrow('no room');
    inside._ctx = whole;
    expect((await ask(20, 3, 78)).tokensOut).toBe(3);
  });
});
