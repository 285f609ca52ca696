import { PassThrough, Readable } from 'node:stream';
import type Docker from 'dockerode';
import { type BindAddress, bindingVariable, type LogicalAddress, type ProcessBinding } from '../../../compiler/contracts/index.ts';
import { commandLine, type MemberProgram, programEnvironment } from '../../../compiler/plan/program-environment.ts';
import { holdGpus } from '../supervise/gpus.ts';
import type { Exit, Launch, ReplicaUsage } from '../supervise/host.ts';
import { passLines } from '../supervise/log.ts';
import { waitProgramReady } from '../supervise/ready.ts';
import { dockerName, labels } from './labels.ts';
import { engineHost, ownerLabels } from './network.ts';
import { tar } from './tar.ts';

const controlPort = 7000;
const anyInterface = '0.0.0.0';
const bundleInContainer = '/app/unit.mjs';
const bindingInContainer = '/app/binding.json';
const stateInContainer = '/state';

interface Placement {
  readonly image: string;
  readonly network: string;
  readonly otlpEndpoints: readonly string[];
  /** Folder of this machine for state. */
  readonly stateDir: string;
}

/** One container that has been started, before anything is known of what runs in it. */
interface Started {
  /** Resolves once it has ended and is removed. */
  readonly exited: Promise<Exit>;
  readonly control: BindAddress | null;
  ready?(signal: AbortSignal): Promise<void>;
  readonly publicAt: BindAddress | null;
  readonly metricsAt?: BindAddress | undefined;
  readonly gpus?: readonly string[];
  readonly listen: { readonly [address: LogicalAddress]: BindAddress };
  usage(): Promise<ReplicaUsage>;
  signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** Ports are fixed inside: every container has its own address. */
function portsOf({ member }: Pick<Launch, 'member'>): Map<LogicalAddress, number> {
  // What somebody else built listens once, wherever it always did.
  const fixed = member.program?.planned.fixedPort;
  return new Map(member.listens.map(({ address }, index) => [address, fixed ?? portOfListener(index)]));
}

const portOfListener = (index: number): number => controlPort + 1 + index;

/** All replicas of a unit have this name beside their own; the engine's name server gives one after the other. */
const sharedAlias = (id: string): string => dockerName(`${id}-any`);

export async function startContainer(
  docker: Docker,
  launch: Launch,
  placement: Placement,
  onOutput: (line: string) => void,
): Promise<Started> {
  const { member, instanceId, log } = launch;
  const ports = portsOf(launch);
  const alias = dockerName(instanceId);
  const { program } = member;
  const options = containerOptions(launch, placement, ports, alias);
  const gpus = await holdGpus(program?.planned.gpus ?? 0, member.id);
  const container = await docker
    .createContainer(program === null ? options : foreignOptions(options, launch, program, placement, ports, gpus.ids))
    .catch((error: unknown) => {
      gpus.release();
      throw error;
    });
  const remove = async () => {
    await container.remove({ force: true, v: true }).catch(() => {});
    gpus.release();
  };
  try {
    if (program === null) await container.putArchive(Readable.from(tar(filesOf(launch, placement, ports))), { path: '/' });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const printed = passOutput(docker, stream, onOutput, (line) => log.write(line));
    await container.start();
    const exited = endOf(container, printed, remove);
    const published = (await container.inspect()).NetworkSettings.Ports;
    const outside = (port: number): BindAddress => ({ host: '127.0.0.1', port: Number(published[`${port}/tcp`]?.[0]?.HostPort ?? 0) });
    const [foreignPort = 0] = ports.values();
    const taken = outside(foreignPort);
    const publicPort = member.publicAddress ? ports.get(member.publicAddress) : undefined;
    const metricsPort = member.metricsAddress ? ports.get(member.metricsAddress) : undefined;
    return {
      exited,
      control: program === null ? outside(controlPort) : null,
      ...(program !== null && 'port' in taken
        ? { ready: (signal: AbortSignal) => waitProgramReady(taken, program.planned.ready?.path, signal) }
        : {}),
      publicAt: publicPort === undefined ? null : outside(publicPort),
      metricsAt: metricsPort === undefined ? undefined : outside(metricsPort),
      gpus: gpus.ids,
      listen: Object.fromEntries([...ports].map(([address, port]) => [address, { host: alias, port }])),
      usage: usageOf(container),
      // It may have ended already.
      signal: (signal) => container.kill({ signal }).catch(() => {}),
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

function containerOptions(
  launch: Launch,
  placement: Placement,
  ports: Map<LogicalAddress, number>,
  alias: string,
): Docker.ContainerCreateOptions {
  const { member, publicPort, secrets, binding } = launch;
  const outside = [member.publicAddress, member.metricsAddress];
  const published = [controlPort, ...[...ports].filter(([address]) => outside.includes(address)).map(([, port]) => port)];
  const hostPort = (port: number) => (port === controlPort || publicPort === 0 ? '' : String(publicPort));
  const environment = {
    ...secrets,
    [bindingVariable]: bindingInContainer,
    DMAS_EXIT_WITH_STDIN: '1',
    PATH: '/usr/local/bin:/usr/bin:/bin',
  };
  const memoryBytes = Math.round(member.resources.memoryMb * 2 ** 20);
  return {
    name: `${placement.network}-${alias}`,
    Image: placement.image,
    // Found in PATH: images of others have it elsewhere.
    Entrypoint: ['node', bundleInContainer],
    Labels: { ...ownerLabels(binding.deploymentId), [labels.replica]: launch.instanceId },
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    // Files of the state folder stay those of the user who started this.
    User: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    WorkingDir: '/tmp',
    // Attached once, by us: when this process goes, standard input ends, and the container with it.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: Object.fromEntries(published.map((port) => [`${port}/tcp`, {}])),
    HostConfig: {
      NetworkMode: placement.network,
      NanoCpus: Math.round(member.resources.vcpu * 1e9),
      Memory: memoryBytes,
      // The same: no swap beside it.
      MemorySwap: memoryBytes,
      PortBindings: Object.fromEntries(published.map((port) => [`${port}/tcp`, [{ HostIp: '127.0.0.1', HostPort: hostPort(port) }]])),
      Binds: [`${placement.stateDir}:${stateInContainer}`],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      // What it prints goes to us; the engine need not keep it too.
      LogConfig: { Type: 'none', Config: {} },
      ExtraHosts: [`${engineHost}:host-gateway`],
    },
    NetworkingConfig: { EndpointsConfig: { [placement.network]: { Aliases: [alias, sharedAlias(member.id)] } } },
  };
}

/** A container of somebody else's image: its own entry point, user and files, our network, limits and environment. */
export function foreignOptions(
  options: Docker.ContainerCreateOptions,
  { member, instanceId, binding, secrets }: Launch,
  program: MemberProgram,
  placement: Placement,
  ports: Map<LogicalAddress, number>,
  gpus: readonly string[] = [],
): Docker.ContainerCreateOptions {
  const [port = portOfListener(0)] = ports.values();
  const { planned } = program;
  const environment = programEnvironment({
    program,
    unit: member.id,
    replica: member.replica,
    instanceId,
    deploymentId: binding.deploymentId,
    otlpEndpoints: placement.otlpEndpoints,
    port,
    at: (address) => {
      const reached = program.reaches[address];
      return reached === undefined ? '' : `${sharedAlias(reached.id)}:${reached.fixedPort ?? portOfListener(reached.listener)}`;
    },
    secrets,
  });
  const { Entrypoint: _, User: __, WorkingDir: ___, ...rest } = options;
  const { Binds: ____, CapDrop: _____, ...host } = options.HostConfig ?? {};
  const own: Docker.HostConfig = {
    ...(planned.mount === undefined ? {} : { Binds: [`${planned.mount.folder}:${planned.mount.at}`] }),
    ...(planned.sharedMemoryMb === undefined ? {} : { ShmSize: planned.sharedMemoryMb * 2 ** 20 }),
    ...(gpus.length === 0 ? {} : { DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: [...gpus], Capabilities: [['gpu']] }] }),
  };
  return {
    ...rest,
    Image: planned.image ?? '',
    ...(planned.command === undefined ? {} : { Entrypoint: commandLine(planned.command, port), Cmd: [] }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ExposedPorts: { [`${port}/tcp`]: {} },
    HostConfig: { ...host, ...own, PortBindings: { [`${port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } },
  };
}

function filesOf(launch: Launch, { otlpEndpoints }: Placement, ports: Map<LogicalAddress, number>) {
  const binding: ProcessBinding = {
    ...launch.binding,
    otlpEndpoints,
    control: { host: anyInterface, port: controlPort },
    listen: Object.fromEntries([...ports].map(([address, port]) => [address, { host: anyInterface, port }])),
    stateDir: stateInContainer,
  };
  return [
    { path: bundleInContainer.slice(1), content: Buffer.from(launch.member.bundle?.code ?? ''), mode: 0o444 },
    { path: bindingInContainer.slice(1), content: Buffer.from(JSON.stringify(binding)), mode: 0o444 },
  ];
}

/** Resolves when everything printed has been passed on. */
function passOutput(
  docker: Docker,
  stream: NodeJS.ReadWriteStream,
  onOutput: (line: string) => void,
  onError: (line: string) => void,
): Promise<void> {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  passLines(output, onOutput);
  passLines(errors, onError);
  docker.modem.demuxStream(stream, output, errors);
  return new Promise((resolve) => {
    const end = () => {
      output.end();
      errors.end();
      resolve();
    };
    stream.once('end', end);
    stream.once('close', end);
    stream.once('error', end);
  });
}

async function endOf(container: Docker.Container, printed: Promise<void>, remove: () => Promise<void>): Promise<Exit> {
  const status: { StatusCode?: number } = await container.wait().catch(() => ({}));
  const outOfMemory = await container
    .inspect()
    .then(({ State }) => State.OOMKilled)
    .catch(() => false);
  await printed;
  await remove();
  return outOfMemory ? { code: null, signal: 'the memory limit' } : { code: status.StatusCode ?? null, signal: null };
}

interface Stats {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: { readonly usage?: number; readonly max_usage?: number };
}

/** Cumulative; peaks are the kernel's where it keeps them (cgroup v1), else the highest seen. */
function usageOf(container: Docker.Container): () => Promise<ReplicaUsage> {
  let last: ReplicaUsage = { cpuSeconds: 0, peakMemoryMb: 0 };
  return async () => {
    // One-shot: without it the engine waits for a second reading.
    const stats = (await container.stats({ stream: false, 'one-shot': true }).catch(() => null)) as Stats | null;
    const memoryBytes = stats?.memory_stats?.max_usage ?? stats?.memory_stats?.usage ?? 0;
    last = {
      cpuSeconds: Math.max(last.cpuSeconds, (stats?.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9),
      peakMemoryMb: Math.max(last.peakMemoryMb, memoryBytes / 2 ** 20),
    };
    return last;
  };
}
