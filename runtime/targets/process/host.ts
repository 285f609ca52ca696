import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import {
  type BindAddress,
  bindingVariable,
  type LogicalAddress,
  type Peers,
  type ProcessBinding,
} from '../../../compiler/contracts/index.ts';
import { packageFoldersVariable } from '../../optional-package.ts';
import type { Launch, ReplicaHost, RunningReplica } from '../supervise/host.ts';
import { fileName, type Member } from '../supervise/members.ts';
import { beforeExit, checkReport, startedWatcher } from '../supervise/started.ts';
import { type Child, startChild } from './child.ts';
import { type Junction, openJunction } from './junction.ts';
import { takeLease } from './lease.ts';
import { launchProgram } from './program.ts';

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

/**
 * Runs replicas as processes of this machine, for one deployment.
 *
 * @param sourceFolder what the folders of foreign commands are relative to
 */
export function processHost(deploymentId: string, folder: string, sourceFolder: string): ReplicaHost {
  const sockets = socketFolder();
  const bindings = join(folder, 'bindings');
  const bundles = join(folder, 'bundles');
  const stateDir = join(folder, 'state');
  const packageFolders = [resolve(sourceFolder), import.meta.dirname].join(delimiter);
  const lease = takeLease(deploymentId, [sockets, bindings, bundles]);
  const junctions = new Map<LogicalAddress, Promise<Junction>>();
  let peers: Peers = {};
  const lasting = async (address: LogicalAddress): Promise<string> => {
    const opening = junctions.get(address) ?? openJunction(loopback);
    junctions.set(address, opening);
    const junction = await opening;
    junction.update(peers[address] ?? []);
    return `${loopback}:${junction.port}`;
  };
  const close = async () => {
    await Promise.allSettled([...junctions.values()].map(async (opening) => (await opening).close()));
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
      if (member.program !== null) {
        const place = { deploymentId, sourceFolder, lease, at: lasting };
        const { child, ...facts } = await launchProgram(launch, member.program, place);
        return running(child, launch, facts);
      }
      const binding: ProcessBinding = { ...launch.binding, control: { host: loopback, port: 0 }, listen: bind(launch), stateDir };
      const bindingFile = join(bindings, `${fileName(instanceId)}.json`);
      writeFileSync(bindingFile, JSON.stringify(binding), { mode: 0o600 });
      const watcher = startedWatcher((line) => log.write(line));
      const child = startChild({
        run: { module: bundleFile(bundles, member) },
        name: instanceId,
        cwd: folder,
        environment: { ...launch.secrets, [bindingVariable]: bindingFile, [packageFoldersVariable]: packageFolders },
        lease,
        onOutput: watcher.onOutput,
        onError: (line) => log.write(line),
      });
      void child.exited.then(() => rmSync(bindingFile, { force: true }));
      try {
        const report = await beforeExit(watcher.report, child.exited, signal);
        checkReport(report, member);
        return running(child, launch, report);
      } catch (error) {
        child.kill();
        await child.exited;
        throw error;
      }
    },
    moved(now) {
      peers = now;
      for (const [address, opening] of junctions) void opening.then((junction) => junction.update(peers[address] ?? []));
    },
    close,
  };
}

/** The code of a member, written once per version. */
function bundleFile(folder: string, { id, bundle }: Member): string {
  if (bundle === null) throw new Error(`${id} has no bundle`);
  const file = join(folder, `${fileName(id)}.${bundle.sha256.slice(0, 12)}.mjs`);
  if (!existsSync(file)) writeFileSync(file, bundle.code, { mode: 0o600 });
  return file;
}

type Facts = Pick<RunningReplica, 'control' | 'listen' | 'ready' | 'gpus'>;

function running(child: Child, { member, instanceId }: Launch, { control, listen, ready, gpus }: Facts): RunningReplica {
  return {
    metricsAt: member.metricsAddress ? listen[member.metricsAddress] : undefined,
    gpus,
    instanceId,
    control,
    listen,
    ...(ready === undefined ? {} : { ready }),
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
