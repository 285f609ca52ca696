import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openProject } from '../../cli/project.ts';
import { roomForSearch } from '../../cli/room.ts';
import { type Configuration, configurationId, onePerComponent, type Prediction } from '../../compiler/contracts/index.ts';
import type { AskedTotals } from '../../runtime/targets/target.ts';

const scenario = join(import.meta.dirname, '../../scenarios/weather-news/scenario.yaml');
const open = (configuration: Configuration): Prediction => {
  const exactly = { point: 1, low: 1, high: 1, level: 0.9, n: 1, provenance: 'modelled' } as const;
  return {
    configurationId: configurationId(configuration),
    ...{ predictor: 'analytic', classes: {}, utilization: {}, feasible: true, usdPer1000Requests: exactly, cpuMsPerRequest: exactly },
  };
};

it('leaves layouts out that the target has no room for, and tells the first reason', async () => {
  const project = await openProject(scenario, {});
  const { baseline, workflow, defaults } = project;
  const plain = onePerComponent(workflow, defaults);
  const doubled: Configuration = { ...plain, units: plain.units.map((unit) => ({ ...unit, replicas: 2 })) };
  const seen: AskedTotals[] = [];
  const search = roomForSearch(project, {
    refuses: ({ units }) => (units.some(({ replicas }) => replicas > 1) ? 'replicas need room' : null),
    refusesTotals: (asked) => {
      seen.push(asked);
      return asked.pods > 4 ? `${asked.pods} pods` : null;
    },
  });
  const feasible = (predict: (configuration: Configuration) => Prediction) =>
    [baseline, plain, doubled].map((each) => predict(each).feasible);
  expect(search.reason()).toBeNull();
  expect(feasible(search.quickly(open))).toEqual([true, true, false]);
  expect(search.reason()).toMatch(/^5 pods$/);
  expect(feasible(search.exactly(open))).toEqual([true, true, false]);
  expect(search.reason()).toMatch(/^5 pods$/);
  // Two units of two replicas, and the model's server.
  const { vcpu = 0, memoryMb = 0 } = plain.units[0]?.resources ?? {};
  expect(seen.at(-1)).toMatchObject({ pods: 5 });
  expect((seen.at(-1)?.vcpu ?? 0) - (seen[1]?.vcpu ?? 0)).toBeCloseTo(2 * vcpu);
  expect((seen.at(-1)?.memoryMb ?? 0) - (seen[1]?.memoryMb ?? 0)).toBeCloseTo(2 * memoryMb);
  // What cannot carry its load is not asked about.
  const asked = seen.length;
  search.quickly((configuration) => ({ ...open(configuration), feasible: false }))(plain);
  expect(seen).toHaveLength(asked);
  expect(feasible(roomForSearch(project, null).exactly(open))).toEqual([true, true, true]);
});
