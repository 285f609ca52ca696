import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allInOne, type PlannedProgram } from '../../../../compiler/contracts/index.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { openEngine } from '../../../../runtime/targets/docker/engine.ts';
import { ensureNodeImage } from '../../../../runtime/targets/docker/image.ts';
import { foreignOptions } from '../../../../runtime/targets/docker/options.ts';
import { tar } from '../../../../runtime/targets/docker/tar.ts';
import type { Launch } from '../../../../runtime/targets/supervise/host.ts';
import { standInProgram } from '../../../fixtures/vllm/make.ts';
import { openBench } from '../../../placements/deploy.ts';
import { testSettings } from './settings.ts';

const planned: PlannedProgram = {
  command: ['vllm', 'serve', 'm', '--port', '{port}'],
  image: 'vllm/vllm-openai:v0.19.0',
  folder: '.',
  environment: { HF_HOME: '/cache' },
  portVariable: 'PORT',
  fixedPort: 8000,
  path: '/',
  neighbours: {},
  models: {},
  instrumented: false,
  gpus: 2,
  mount: { folder: '/weights', at: '/cache' },
  sharedMemoryMb: 8192,
};

describe('the container of a model server of others', () => {
  it('has its GPUs, its cache, shared memory and its own command', () => {
    const program = { planned, component: 'model-main', models: {}, reaches: {} };
    const launch = {
      member: { id: 'model-main', replica: 0, listens: [{ address: 'service://model-main', transport: 'tcp' }] },
      instanceId: 'model-main.0.1',
      binding: { deploymentId: 'd' },
      secrets: { HF_TOKEN: 'x' },
    } as unknown as Launch;
    const placement = { otlpEndpoints: [], publishAt: '127.0.0.1' };
    const base = { HostConfig: { NetworkMode: 'n', Binds: ['/state:/state'], CapDrop: ['ALL'] }, Entrypoint: ['node'], User: '1:1' };
    const options = foreignOptions(base, launch, program, placement, new Map([['service://model-main', 8000]]), ['2', '3']);
    expect(options).toMatchObject({
      Image: 'vllm/vllm-openai:v0.19.0',
      Entrypoint: ['vllm', 'serve', 'm', '--port', '8000'],
      Cmd: [],
      Env: expect.arrayContaining(['HF_TOKEN=x', 'HF_HOME=/cache']),
      HostConfig: {
        NetworkMode: 'n',
        Binds: ['/weights:/cache'],
        ShmSize: 8192 * 1024 * 1024,
        DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: ['2', '3'], Capabilities: [['gpu']] }],
        PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
      },
    });
    expect(options).not.toHaveProperty('User');
    expect(foreignOptions(base, launch, program, placement, new Map()).HostConfig).not.toHaveProperty('DeviceRequests');
  });
});

const [missing] = await createDockerTarget(testSettings).check();
const image = `dmas-opt-test-vllm:${process.pid}`;

describe.skipIf(missing)(`a model server of others on docker, a stand-in of vLLM${missing ? `: skipped, ${missing.message}` : ''}`, () => {
  beforeAll(async () => {
    const docker = await openEngine();
    const container = await docker.createContainer({ Image: await ensureNodeImage(docker), Cmd: ['node'] });
    const file = { path: 'usr/bin/vllm', content: Buffer.from(await standInProgram('/usr/bin/node')), mode: 0o755 };
    await container.putArchive(Readable.from(tar([file])), { path: '/' });
    const [repo, tag] = image.split(':');
    await container.commit({ repo, tag, changes: 'ENV PATH=/usr/bin STAND_IN_WITHOUT_GPUS=1\nENTRYPOINT ["nothing"]' });
    await container.remove({ force: true });
  }, 60_000);
  afterAll(async () => {
    await (await openEngine()).getImage(image).remove({ force: true });
  });

  it('is started with its own command, found by the units, and read by us', async () => {
    process.env.VLLM_IMAGE = image;
    const bench = await openBench(fileURLToPath(new URL('../../../fixtures/vllm/docker.yaml', import.meta.url)));
    try {
      await bench.with(allInOne(bench.project.workflow, bench.project.defaults), async ({ deployment, ask }) => {
        const { status, output } = await ask({ id: 'one', input: { city: 'Oslo' } });
        expect(status, output).toBe(200);
        const [server] = deployment.modelServers();
        expect(await (await fetch(`${server?.url}/metrics`)).text()).toMatch(/vllm:generation_tokens_total\{[^}]*\} [1-9]/);
      });
    } finally {
      delete process.env.VLLM_IMAGE;
      await bench.close();
    }
    const docker = await openEngine();
    const left = await docker.listContainers({ all: true, filters: { ancestor: [image] } });
    expect(left).toEqual([]);
  }, 60_000);
});
