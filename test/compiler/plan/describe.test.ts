import { beforeAll, describe, expect, it } from 'vitest';
import type { Workflow } from '../../../compiler/contracts/index.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { describeChanges, describeLayout } from '../../../compiler/plan/describe.ts';
import { newsroom, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});
const read = (baseline: object) => baselineConfiguration(workflow, scenario({ baseline }));

describe('the baseline', () => {
  it('is one unit per component, everything in one, or as listed', () => {
    expect(read({}).configuration.units).toHaveLength(11);
    // The checker keeps a unit of its own.
    expect(describeLayout(read({ layout: 'all-in-one' }).configuration)).toContain(' | [checker]');
    expect(read({ layout: 'all-in-one' }).configuration.units).toHaveLength(2);
    const { configuration, problems } = read({
      layout: [{ components: ['desk', 'editor'], replicas: 2 }, ['archive']],
      channels: { 'desk->editor': 'grpc' },
    });
    expect(describeLayout(configuration)).toBe(
      '[archive] | [checker] | [counter] | [desk editor] x2 | [draft] | [facts] | [listener] | [merge] | [pipeline] | [style]',
    );
    expect(configuration.channels['desk->editor']).toEqual({ protocol: 'grpc', options: {} });
    expect(configuration.serving).toEqual({ main: { replicas: 1, options: {} } });
    expect(problems.every((problem) => problem.severity === 'warning')).toBe(true);
    expect(problems).toHaveLength(8);
  });

  it('says what it does not know and what was meant', () => {
    const { problems } = read({ layout: [['dessk'], ['desk'], ['desk']], channels: { 'desk->editr': 'http-json' } });
    const errors = problems.filter((problem) => problem.severity === 'error');
    expect(errors.map(({ code, didYouMean }) => `${code} ${didYouMean ?? ''}`.trim())).toEqual([
      'DMAS_CFG_UNKNOWN_AGENT desk',
      'DMAS_CFG_CONTRADICTION',
      'DMAS_CFG_UNKNOWN_CHANNEL desk->editor',
    ]);
  });
});

describe('changes between layouts', () => {
  it('are told as merges, splits, replicas and protocols', () => {
    const from = read({ layout: [['desk', 'editor'], ['facts'], ['style']] }).configuration;
    const to = read({
      layout: [['desk'], ['editor'], ['facts', 'style'], { components: ['merge'], replicas: 2 }],
      channels: { 'desk->pipeline': 'grpc' },
    }).configuration;
    expect(describeChanges(from, to)).toEqual([
      'split: desk out of desk+editor',
      'split: editor out of desk+editor',
      'merged: facts + style',
      'merge: 1 -> 2 replicas',
      'desk->editor: inproc -> http-json',
      'desk->pipeline: http-json -> grpc',
    ]);
    expect(describeChanges(from, from)).toEqual([]);
  });
});
