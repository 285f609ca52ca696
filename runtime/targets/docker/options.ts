import type Docker from 'dockerode';
import { bindingVariable, type LogicalAddress } from '../../../compiler/contracts/index.ts';
import { egressCallerOf } from '../../../compiler/plan/members.ts';
import { commandLine, type MemberProgram, programEnvironment } from '../../../compiler/plan/program-environment.ts';
import type { Launch } from '../supervise/host.ts';
import { bundlePath, stateInContainer } from './app-image.ts';
import { dockerName, labels, ownerLabels } from './labels.ts';
import type { Attachment } from './networks.ts';

/** Under this name containers with a way out reach the machine of the engine; Docker's own word. */
const engineHost = 'host.docker.internal';
export const controlPort = 7000;
/** A volume of each container, so that its root file system can be read-only from the start. */
export const givenFolder = '/run/dmas-opt';
export const bindingInContainer = `${givenFolder}/binding.json`;
/** `nobody` of Debian and of our own image: who runs units where this process is root. */
const nobody = 65534;
/** What an entry point needs that starts as root and steps down; all else is dropped. */
const stepDownCapabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETUID'];

/** Where and of what a container is made. */
export interface Placement {
  readonly image: string;
  readonly name: string;
  readonly attachments: readonly Attachment[];
  readonly hasWayOut: boolean;
  readonly otlpEndpoints: readonly string[];
  /** A folder of this machine, or the name of a volume. */
  readonly state: string;
  /** Address of the engine's machine at which ports are published. */
  readonly publishAt: string;
}

/** Ports are fixed inside: every container has its own address. */
export function portsOf({ member }: Pick<Launch, 'member'>): Map<LogicalAddress, number> {
  // What somebody else built listens once, wherever it always did.
  const fixed = member.program?.planned.fixedPort;
  return new Map(member.listens.map(({ address }, index) => [address, fixed ?? portOfListener(index)]));
}

const portOfListener = (index: number): number => controlPort + 1 + index;

/** All replicas of a unit have this name beside their own; the engine's name server gives one after the other. */
const sharedAlias = (id: string): string => dockerName(`${id}-any`);

/** Networks of an engine know no ports, so the way out knows its callers by their addresses. */
export function callersOf({ member }: Pick<Launch, 'member'>): { readonly callers?: { readonly [id: string]: string } } {
  const callers = member.listens.flatMap(({ address }) => egressCallerOf(address) ?? []);
  return callers.length === 0 ? {} : { callers: Object.fromEntries(callers.map((id) => [id, sharedAlias(id)])) };
}

export const aliasesOf = ({ member, instanceId }: Pick<Launch, 'member' | 'instanceId'>): string[] => [
  dockerName(instanceId),
  sharedAlias(member.id),
];

export const endpointOf = (attachment: Attachment, launch: Pick<Launch, 'member' | 'instanceId'>): Docker.EndpointSettings =>
  ({
    ...(attachment.named ? { Aliases: aliasesOf(launch) } : {}),
    // Known from engine 28 on; ignored before.
    ...(attachment.gateway ? { GwPriority: 1 } : {}),
  }) as Docker.EndpointSettings;

/** Who units run as: the user who started this, whose folder their state is in; never root. */
export const unitUser = (uid = process.getuid?.() ?? 0, gid = process.getgid?.() ?? 0): { readonly uid: number; readonly gid: number } =>
  uid === 0 ? { uid: nobody, gid: nobody } : { uid, gid };

export function containerOptions(
  launch: Launch,
  placement: Placement,
  ports: ReadonlyMap<LogicalAddress, number>,
): Docker.ContainerCreateOptions {
  const { member, publicPort, secrets, binding } = launch;
  const { attachments, hasWayOut } = placement;
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
  const { uid, gid } = unitUser();
  const [first] = attachments;
  return {
    name: placement.name,
    Image: placement.image,
    // Found in PATH: images of others have it elsewhere.
    Entrypoint: ['node', member.bundle === null ? '' : bundlePath(member.bundle)],
    Cmd: [],
    Labels: { ...ownerLabels(binding.deploymentId), [labels.replica]: launch.instanceId },
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    User: `${uid}:${gid}`,
    WorkingDir: '/tmp',
    Volumes: { [givenFolder]: {} },
    // Attached once, by us: when this process goes, standard input ends, and the container with it.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: Object.fromEntries(published.map((port) => [`${port}/tcp`, {}])),
    HostConfig: {
      ...(first === undefined ? {} : { NetworkMode: first.network }),
      NanoCpus: Math.round(member.resources.vcpu * 1e9),
      Memory: memoryBytes,
      // The same: no swap beside it.
      MemorySwap: memoryBytes,
      PortBindings: Object.fromEntries(
        published.map((port) => [`${port}/tcp`, [{ HostIp: placement.publishAt, HostPort: hostPort(port) }]]),
      ),
      Binds: [`${placement.state}:${stateInContainer}`],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'rw,nosuid,nodev,mode=1777' },
      CapDrop: ['ALL'],
      // The engine's own seccomp profile, and AppArmor's where the system has it, hold without a word.
      SecurityOpt: ['no-new-privileges'],
      // What it prints goes to us; the engine need not keep it too.
      LogConfig: { Type: 'none', Config: {} },
      // Names of the world lead nowhere without a way out; asking nobody says so at once and tells nobody.
      ...(hasWayOut ? { ExtraHosts: [`${engineHost}:host-gateway`] } : { Dns: ['127.0.0.1'] }),
    },
    ...(first === undefined ? {} : { NetworkingConfig: { EndpointsConfig: { [first.network]: endpointOf(first, launch) } } }),
  };
}

/** A container of somebody else's image: its own entry point, user and files, our networks, limits and environment. */
export function foreignOptions(
  options: Docker.ContainerCreateOptions,
  { member, instanceId, binding, secrets }: Launch,
  program: MemberProgram,
  { otlpEndpoints, publishAt }: Pick<Placement, 'otlpEndpoints' | 'publishAt'>,
  ports: ReadonlyMap<LogicalAddress, number>,
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
    otlpEndpoints,
    port,
    at: (address) => {
      const reached = program.reaches[address];
      return reached === undefined ? '' : `${sharedAlias(reached.id)}:${reached.fixedPort ?? portOfListener(reached.listener)}`;
    },
    secrets,
  });
  const { Entrypoint: _, Cmd: __, User: ___, WorkingDir: ____, Volumes: _____, ...rest } = options;
  const { Binds: _binds, ReadonlyRootfs: _readOnly, Tmpfs: _tmpfs, ...host } = options.HostConfig ?? {};
  const own: Docker.HostConfig = {
    CapAdd: stepDownCapabilities,
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
    HostConfig: { ...host, ...own, PortBindings: { [`${port}/tcp`]: [{ HostIp: publishAt, HostPort: '' }] } },
  };
}
