import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engineSetup } from '../../cli/engine-setups.ts';
import { planOf } from '../../cli/laboratory.ts';
import { openProject } from '../../cli/project.ts';
import type { HardwareProfile } from '../../runtime/llm/engine/hardware-profile.ts';
import { engineOf } from '../../runtime/llm/engine/options.ts';
import { shippedProfiles } from '../../runtime/llm/engine/profiles/index.ts';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';

const root = join(import.meta.dirname, '../..');
const shipped = shippedProfiles.find(({ name }) => name === 'rtx4090-llama-3.1-8b') as HardwareProfile;
const mine: HardwareProfile = { ...shipped, name: 'mine', endpoint: { overheadMs: 1, maxNumSeqs: 7 } };

describe('a hardware profile in a file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-profile-'));
    await cp(join(root, 'scenarios/weather-news'), folder, { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = async (profile: unknown, more = '') => {
    await writeFile(join(folder, 'mine.json'), typeof profile === 'string' ? profile : JSON.stringify(profile));
    const models = 'models:\n  main: { backend: simulated, options: { profile: ./mine.json } }\n';
    await writeFile(join(folder, 'scenario.yaml'), `workflow: ./workflow.ts\n${models}${more}`);
    return openProject(join(folder, 'scenario.yaml'));
  };

  it('is what the server gets, what predictions use, and says the GPU that is paid for', async () => {
    const project = await open(mine);
    const plan = planOf(project, project.baseline);
    const server = plan.services.find(({ kind }) => kind === 'model');
    expect(server?.options).toMatchObject({ profile: { name: 'mine' }, gpu: 'rtx4090' });
    createModelServer('main', server?.options ?? {}).server.close();
    expect(engineOf(server?.options ?? {})).toMatchObject({ profile: 'mine', args: { maxNumSeqs: 7 } });
    const setup = engineSetup({ config: project.scenario.config, profiles: project.profiles }, 'main', { replicas: 1, options: {} });
    expect(setup).toMatchObject({ profile: 'mine', evidence: 'measured' });
  });

  it.each([
    ['{', /mine\.json: .*JSON/],
    [{ ...mine, evidence: 'hearsay' }, /evidence must be measured or estimate/],
    [
      { ...mine, stepsByTensorParallel: { 1: { ...mine.stepsByTensorParallel['1'], dense: { at: [2, 1], ms: [1, 2] } } } },
      /dense\.at must rise/,
    ],
  ])('is refused with its place when it is none', async (profile, message) => {
    await expect(open(profile)).rejects.toMatchObject({
      problems: [{ code: 'DMAS_ENGINE_FILE', message: expect.stringMatching(message), at: { line: expect.any(Number) } }],
    });
  });

  it('cannot be searched over, because a setting is told by its words', async () => {
    const search = 'search: { serving: { main: { profile: [./mine.json, generic-small] } } }\n';
    await expect(open(mine, search)).rejects.toMatchObject({ problems: [{ code: 'DMAS_ENGINE_FILE', at: { line: expect.any(Number) } }] });
  });
});
