import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { stateDirVariable } from '../../../../runtime/targets/process/lease.ts';
import type { Deployment } from '../../../../runtime/targets/target.ts';
import { ask, connects, dockerRemains, factsOf, fixturePlan, fixtureRequest, temporaryFolder, testContext } from '../fixtures.ts';
import { testSettings } from './settings.ts';

const target = createDockerTarget(testSettings);
const [missing] = await target.check();
const ownerScript = fileURLToPath(new URL('../owner.ts', import.meta.url));

describe.skipIf(missing)(`docker${missing ? `: skipped, ${missing.message}` : ''}`, () => {
  let root: string;
  let folder: string;
  const deployments: Deployment[] = [];
  beforeEach(() => {
    root = temporaryFolder();
    folder = join(root, 'deployment');
    mkdirSync(folder);
    vi.stubEnv(stateDirVariable, join(root, 'registry'));
  });
  afterEach(async () => {
    await Promise.all(deployments.splice(0).map((deployment) => deployment.stop()));
    vi.unstubAllEnvs();
    rmSync(root, { recursive: true, force: true });
  });

  it('limits the memory of a unit, and says so when it is exceeded', async () => {
    const request = fixtureRequest(fixturePlan('docker', [{ id: 'a', ingress: true, memoryMb: 96 }]), folder);
    const deployment = await target.deploy(request, testContext());
    deployments.push(deployment);
    const [url = ''] = deployment.ingressUrls;
    await ask(url, '/grow', { megabytes: 300 }).catch(() => {});
    await vi.waitFor(() => expect(deployment.incidents()[0]?.detail).toContain('ended by the memory limit'), 15_000);
    await vi.waitFor(async () => expect((await factsOf(url)).id).toBe('a'), 15_000);
  });

  it('limits and labels each container', async () => {
    const request = fixtureRequest(fixturePlan('docker', [{ id: 'a', ingress: true, memoryMb: 96 }]), folder);
    deployments.push(await target.deploy(request, testContext()));
    const { default: Docker } = await import('dockerode');
    const docker = new Docker();
    const filters = JSON.stringify({ label: [`dmas-opt.deployment=${request.deploymentId}`] });
    const [container] = await docker.listContainers({ filters });
    const { HostConfig, Config } = await docker.getContainer(container?.Id ?? '').inspect();
    expect(HostConfig).toMatchObject({ NanoCpus: 5e8, Memory: 96 * 2 ** 20, MemorySwap: 96 * 2 ** 20, CapDrop: ['ALL'] });
    expect(Config.Labels).toMatchObject({ 'dmas-opt.deployment': request.deploymentId, 'dmas-opt.replica': 'a.0.1' });
    const hostAddresses = Object.values(HostConfig.PortBindings as Record<string, { HostIp: string }[]>).flatMap((list) =>
      list.map(({ HostIp }) => HostIp),
    );
    expect(hostAddresses).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  it('lets units reach a trace receiver on the loopback of this machine', async () => {
    const received: string[] = [];
    const receiver = createServer((incoming, outgoing) => {
      received.push(`${incoming.method} ${incoming.url}`);
      outgoing.end('{}');
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const { port } = receiver.address() as AddressInfo;
    try {
      const plan = fixturePlan('docker', [{ id: 'a', ingress: true }]);
      const otlpEndpoints = [`http://127.0.0.1:${port}`, 'http://collector.example:4318/base'];
      const deployment = await target.deploy(fixtureRequest(plan, folder, { otlpEndpoints }), testContext());
      deployments.push(deployment);
      const [url = ''] = deployment.ingressUrls;
      const facts = await factsOf(url);
      // The other one too: units have no way out of their own.
      expect(facts.otlpEndpoints[1]).toMatch(/^http:\/\/10\.213\.\d+\.\d+:\d+\/1$/);
      const inside = new URL(facts.otlpEndpoints[0] ?? '');
      await ask(url, '/post', { at: { host: inside.hostname, port: Number(inside.port) }, path: `${inside.pathname}/v1/traces` });
      expect(received).toEqual(['POST /v1/traces']);
    } finally {
      await new Promise((resolve) => receiver.close(resolve));
    }
  });

  it('refuses unix sockets, which containers do not share', async () => {
    const plan = fixturePlan('docker', [{ id: 'a', ingress: true, transport: 'unix' }]);
    const request = fixtureRequest(plan, folder);
    await expect(target.deploy(request, testContext())).rejects.toThrow(/unix socket, which containers do not share/);
    expect(await dockerRemains(request.deploymentId)).toEqual([]);
  });

  const startOwner = async (behaviour: string) => {
    const owner = spawn(process.execPath, ['--import', 'tsx', ownerScript, folder, behaviour, 'docker'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: owner.stdout })[Symbol.asyncIterator]();
    const nextLine = async () => String((await lines.next()).value);
    const kill = async () => {
      const exited = once(owner, 'exit');
      owner.kill('SIGKILL');
      await exited;
    };
    await nextLine();
    return { pid: owner.pid, nextLine, kill };
  };

  it('containers of a killed owner end by themselves and are removed by the next clean', async () => {
    const { nextLine, kill } = await startOwner('');
    const { url, deploymentId } = JSON.parse(await nextLine()) as { url: string; deploymentId: string };
    expect(await target.clean()).toEqual([]);
    expect(await connects(url)).toBe(true);
    await kill();
    await vi.waitFor(async () => expect(await connects(url)).toBe(false), 15_000);
    expect((await target.leftovers()).filter((line) => line.includes(deploymentId))).toHaveLength(3 + 2);
    await target.clean();
    expect(await dockerRemains(deploymentId)).toEqual([]);
  });

  it.each([100, 400, 1_500])('nothing is left after a clean when the owner dies %i ms into deploying', async (afterMs) => {
    const { pid, kill } = await startOwner('silent');
    await sleep(afterMs);
    await kill();
    // What the engine was asked for before the end may still be coming.
    await vi.waitFor(async () => {
      await target.clean();
      await sleep(500);
      expect(await dockerRemains(`test-${pid}-1`)).toEqual([]);
      expect(await target.leftovers()).toEqual([]);
    }, 15_000);
  });
});
