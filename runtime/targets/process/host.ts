import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BindAddress, bindingVariable, type ProcessBinding } from '../../../compiler/contracts/index.ts';
import type { Launch, ReplicaHost, RunningReplica } from '../supervise/host.ts';
import { fileName, type Member } from '../supervise/members.ts';
import { beforeExit, checkReport, startedWatcher } from '../supervise/started.ts';
import { type Child, startChild } from './child.ts';
import { takeLease } from './lease.ts';

const loopback = '127.0.0.1';
const usageIntervalMs = 500;

/**
 * `sun_path` of sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing zero included. The temporary folder
 * of a Mac is long already, so names are short and /tmp is the way out.
 */
export const longestSocketPath = 103;
const socketFolderPrefix = 'dmas-';

export const socketFolder = (): string => {
  const name = `${socketFolderPrefix}${randomBytes(4).toString('hex')}`;
  const preferred = join(tmpdir(), name);
  return preferred.length + '/999999.sock'.length <= longestSocketPath ? preferred : join('/tmp', name);
};

/** Runs replicas as processes of this machine, for one deployment. */
export function processHost(deploymentId: string, folder: string): ReplicaHost {
  const sockets = socketFolder();
  const bindings = join(folder, 'bindings');
  const bundles = join(folder, 'bundles');
  const stateDir = join(folder, 'state');
  const lease = takeLease(deploymentId, [sockets, bindings, bundles]);
  const close = async () => {
    for (const path of [sockets, bindings, bundles]) rmSync(path, { recursive: true, force: true });
    lease.release();
  };
  try {
    for (const path of [sockets, bindings, bundles, stateDir]) mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    void close();
    throw error;
  }
  let socketCount = 0;

  const bind = (launch: Launch) => {
    const { member, publicPort } = launch;
    return Object.fromEntries(
      member.listens.map(({ address, transport }): [string, BindAddress] => {
        if (transport === 'tcp') return [address, { host: loopback, port: address === member.publicAddress ? publicPort : 0 }];
        socketCount += 1;
        return [address, { path: join(sockets, `${socketCount}.sock`) }];
      }),
    );
  };

  return {
    usageIntervalMs,
    async launch(launch, signal) {
      signal.throwIfAborted();
      const { member, instanceId, log } = launch;
      const binding: ProcessBinding = { ...launch.binding, control: { host: loopback, port: 0 }, listen: bind(launch), stateDir };
      const bindingFile = join(bindings, `${fileName(instanceId)}.json`);
      writeFileSync(bindingFile, JSON.stringify(binding), { mode: 0o600 });
      const watcher = startedWatcher((line) => log.write(line));
      const child = startChild({
        module: bundleFile(bundles, member),
        name: instanceId,
        cwd: folder,
        environment: { ...launch.secrets, [bindingVariable]: bindingFile },
        lease,
        onOutput: watcher.onOutput,
        onError: (line) => log.write(line),
      });
      void child.exited.then(() => rmSync(bindingFile, { force: true }));
      try {
        const report = await beforeExit(watcher.report, child.exited, signal);
        checkReport(report, member);
        return running(child, launch, report.control, report.listen);
      } catch (error) {
        child.kill();
        await child.exited;
        throw error;
      }
    },
    close,
  };
}

/** The code of a member, written once per version. */
function bundleFile(folder: string, { id, bundle }: Member): string {
  const file = join(folder, `${fileName(id)}.${bundle.sha256.slice(0, 12)}.mjs`);
  if (!existsSync(file)) writeFileSync(file, bundle.code, { mode: 0o600 });
  return file;
}

function running(child: Child, { member, instanceId }: Launch, control: BindAddress, listen: RunningReplica['listen']): RunningReplica {
  return {
    instanceId,
    control,
    listen,
    publicAt: member.publicAddress ? (listen[member.publicAddress] ?? null) : null,
    exited: child.exited,
    usage: async () => child.usage(),
    async terminate(graceMs) {
      child.usage();
      if (graceMs > 0) child.signal('SIGTERM');
      const timer = setTimeout(() => child.kill(), graceMs);
      await child.exited;
      clearTimeout(timer);
    },
    async kill() {
      child.kill();
      await child.exited;
    },
  };
}
