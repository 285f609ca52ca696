import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runFolder } from '../../cli/run-folder.ts';
import { readStoredScenario } from '../../cli/stored-scenario.ts';
import { loadScenario } from '../../scenarios/load.ts';
import { type Scenario, scenarioSchema } from '../../scenarios/schema.ts';

const scenarios = join(import.meta.dirname, '../../scenarios');
const examples = readdirSync(scenarios).filter((name) => existsSync(join(scenarios, name, 'scenario.yaml')));
const folder = mkdtempSync(join(tmpdir(), 'dmas-stored-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const example = async (name: string): Promise<Scenario> => {
  const { scenario } = await loadScenario(join(scenarios, name, 'scenario.yaml'), { ...process.env });
  if (scenario === undefined) throw new Error(`${name} has problems`);
  return scenario;
};
const stored = (scenario: object) => {
  writeFileSync(join(folder, 'scenario.json'), JSON.stringify(scenario));
  return readStoredScenario(runFolder(folder, 'run'));
};
const json = (value: unknown) => JSON.parse(JSON.stringify(value));

describe('the scenario of a run', () => {
  it.each(examples)('of %s is read as it was written', async (name) => {
    const scenario = await example(name);
    expect(json(await stored(scenario))).toEqual(json(scenario));
  });

  it('of an older version gets the defaults of the words it did not know', async () => {
    const scenario = await example('travel-planner');
    const { workflow } = scenario.config;
    const words = Object.keys(scenarioSchema.shape).filter((word) => word !== 'workflow');
    for (const word of words) {
      const { [word as keyof typeof scenario.config]: _, ...older } = scenario.config;
      const { config } = await stored({ ...scenario, config: older });
      expect(Object.keys(config).sort(), word).toEqual(Object.keys(scenarioSchema.parse(json(older))).sort());
      expect(config.workflow).toBe(workflow);
    }
  });

  it('that is none is refused with its place and a way out', async () => {
    const scenario = await example('travel-planner');
    const wrong = { ...scenario, config: { ...scenario.config, seed: 'often' } };
    await expect(stored(wrong)).rejects.toThrow(/scenario.json of run is no scenario: seed: /);
    await expect(stored({ ...scenario, schemaVersion: 2 })).rejects.toThrow('newer version');
  });
});
