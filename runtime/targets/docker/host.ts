import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { ReplicaHost } from '../supervise/host.ts';
import { beforeExit, checkReport, startedWatcher } from '../supervise/started.ts';
import type { DeployRequest } from '../target.ts';
import { startContainer } from './container.ts';
import { openNetwork } from './network.ts';

/** Reading a container's counters costs the engine a few milliseconds. */
const usageIntervalMs = 2_000;

/** Runs replicas as containers on one network, for one deployment. */
export async function dockerHost(docker: Docker, image: string, request: DeployRequest): Promise<ReplicaHost> {
  const stateDir = join(request.folder, 'state');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const network = await openNetwork(docker, request.deploymentId, request.otlpEndpoints);
  const placement = { image, network: network.name, otlpEndpoints: network.otlpEndpoints, stateDir };
  return {
    usageIntervalMs,
    async launch(launch, signal) {
      signal.throwIfAborted();
      const { member, instanceId, log } = launch;
      const socket = member.listens.find(({ transport }) => transport === 'unix');
      if (socket) throw new Error(`${socket.address} is a unix socket, which containers do not share`);
      const watcher = startedWatcher((line) => log.write(line));
      const started = await startContainer(docker, launch, placement, watcher.onOutput);
      try {
        if (member.program === null) checkReport(await beforeExit(watcher.report, started.exited, signal), member);
      } catch (error) {
        await started.signal('SIGKILL');
        await started.exited;
        throw error;
      }
      return {
        ...started,
        instanceId,
        async terminate(graceMs) {
          await started.usage();
          await started.signal(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
          const timer = setTimeout(() => void started.signal('SIGKILL'), graceMs);
          await started.exited;
          clearTimeout(timer);
        },
        async kill() {
          await started.usage();
          await started.signal('SIGKILL');
          await started.exited;
        },
      };
    },
    close: () => network.close(),
  };
}
