import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../compiler/contracts/index.ts';
import { describeChanges } from '../../compiler/plan/describe.ts';
import { servingSentence } from '../../optimizer/serving-sentence.ts';

const layout = (serving: Configuration['serving'], modelChoice?: Configuration['modelChoice']): Configuration => ({
  schemaVersion: 1,
  units: [],
  channels: {},
  serving,
  ...(modelChoice ? { modelChoice } : {}),
});
const pricing = { gpuHourUsd: { l4: 1, h100: 4 } };
const shared = layout({ main: { replicas: 2, options: { gpu: 'h100' } } });
const split = layout({
  'main@chat': { model: 'main', agents: ['chat'], replicas: 1, options: { gpu: 'h100' } },
  'main@digest': { model: 'main', agents: ['digest'], replicas: 1, options: { gpu: 'l4', tensorParallelSize: 2 } },
});
const prediction = { pools: { 'main@chat': { queuedMs: 0, saturated: false, profile: 'x', evidence: 'estimate' } } } as never;

describe('the sentence on what to change in serving', () => {
  it('says which pools, what they save, and what it rests on', () => {
    expect(servingSentence({ before: shared, after: split, pricing, provenance: 'simulated', prediction })).toBe(
      'What to change in serving: split the pool of main into 1 × h100 for chat and 2 × l4 for digest instead of 2 × h100, which saves 2.00 USD of GPUs an hour: 6.00 USD instead of 8.00 USD (simulated, with step times that are an estimate).',
    );
    expect(servingSentence({ before: split, after: shared, pricing, provenance: 'measured' })).toBe(
      'What to change in serving: join the pools of main into 2 × h100 instead of 1 × h100 for chat and 2 × l4 for digest, which takes 2.00 USD of GPUs an hour: 8.00 USD instead of 6.00 USD.',
    );
  });

  it('names the option where that is all that changes, and another model', () => {
    const after = layout({ main: { replicas: 2, options: { gpu: 'h100', maxNumSeqs: 64 } } }, { chat: { main: 'small' } });
    expect(servingSentence({ before: shared, after, pricing, provenance: 'replayed' })).toBe(
      'What to change in serving: serve main with maxNumSeqs 64 instead of the default and answer chat with small instead of main, for the same 8.00 USD of GPUs an hour (replayed).',
    );
  });

  it('says nothing where serving stays as it is', () => {
    expect(servingSentence({ before: shared, after: shared, pricing, provenance: 'measured' })).toBeUndefined();
  });

  it('stands beside one line per model and agent in what changes', () => {
    expect(describeChanges(shared, split)).toEqual([
      'model main: 2x(gpu=h100) -> 1x(gpu=h100) for chat + 1x(gpu=l4, tensorParallelSize=2) for digest',
    ]);
    expect(describeChanges(shared, layout(shared.serving, { chat: { main: 'small' } }))).toEqual(['agent chat: model main -> small']);
  });
});
