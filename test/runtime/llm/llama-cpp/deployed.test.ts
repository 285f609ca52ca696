import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleEntries } from '../../../../compiler/bundle/bundle-entries.ts';
import type { Plan, PlannedService, ProcessBinding } from '../../../../compiler/contracts/index.ts';
import { serviceTemplate } from '../../../../compiler/emit/service-entry.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import type { DeployRequest } from '../../../../runtime/targets/target.ts';
import { openBench, scenarioFolder } from '../../../placements/deploy.ts';
import { hasLlama } from './support.ts';

const service: PlannedService = {
  id: 'model-main',
  kind: 'model',
  replicas: 1,
  resources: { vcpu: 1, memoryMb: 256 },
  options: { backend: 'llama-cpp', model: 'main', slots: 1, contextTokens: 256 },
};

describe('a llama.cpp service', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-llama-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('says what to install where the package is missing', async () => {
    const plan = { application: 'test', services: [service] } as unknown as Plan;
    const [bundle] = await bundleEntries([{ id: service.id, template: serviceTemplate(service, plan, undefined) }], folder);
    const file = join(folder, 'model.mjs');
    await writeFile(file, bundle?.code ?? '');
    const binding: ProcessBinding = {
      deploymentId: 'test',
      id: service.id,
      replica: 0,
      instanceId: 'model-main.0.1',
      otlpEndpoints: [],
      samplingRatio: 0,
      stateDir: folder,
      queueLimit: 8,
      listen: { 'service://model-main': { host: '127.0.0.1', port: 0 } },
      control: { host: '127.0.0.1', port: 0 },
      peers: {},
      drainMs: 100,
    };
    await writeFile(join(folder, 'binding.json'), JSON.stringify(binding));
    // Neither this folder nor one above it holds packages.
    const { status, stderr } = spawnSync(process.execPath, [file], {
      cwd: folder,
      env: { DMAS_BINDING: join(folder, 'binding.json'), HOME: folder },
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/node-llama-cpp is not installed/);
    expect(stderr).toMatch(/npm i node-llama-cpp @node-llama-cpp\/\S+ --omit=optional/);
  });

  it('is refused by containers that cannot hold its library', async () => {
    const target = createDockerTarget({ image: '' } as Parameters<typeof createDockerTarget>[0]);
    const request = { plan: { services: [service] }, folder } as unknown as DeployRequest;
    await expect(target.deploy(request, {} as never)).rejects.toThrow(/model-main runs on llama\.cpp/);
  });

  it.skipIf(!hasLlama || process.env.DMAS_OPT_FULL !== '1')(
    'answers agents in a deployed application (DMAS_OPT_FULL=1: takes half a minute)',
    async () => {
      await cp(scenarioFolder('travel-planner'), join(folder, 'trip'), { recursive: true });
      const file = join(folder, 'trip', 'scenario.yaml');
      await writeFile(file, (await readFile(file, 'utf8')).replace('backend: simulated', 'backend: llama-cpp'));
      const bench = await openBench(file);
      try {
        const answers = await bench.with(bench.project.baseline, (application) =>
          Promise.all(
            ['Porto', 'Ghent'].map((city, index) => application.ask({ id: `r${index}`, input: { city, query: 'quiet harbour' } })),
          ),
        );
        expect(answers.map(({ status }) => status)).toEqual([200, 200]);
        expect(answers[1]?.output).toContain('Ghent');
      } finally {
        await bench.close();
      }
    },
    100_000,
  );
});
