import type { MemberAccess } from '../../contracts/index.ts';

/** One service as its unit file says it. */
export interface ServiceFile {
  readonly description: string;
  /** The target it belongs to, without `.target`. */
  readonly application: string;
  readonly command: readonly string[];
  readonly environment: { readonly [name: string]: string };
  /** Files with values of secrets; a missing one is an error unless it is optional. */
  readonly environmentFiles: readonly { readonly path: string; readonly optional: boolean }[];
  readonly vcpu: number;
  readonly memoryMb: number;
  /** Seconds a replica may take to end. */
  readonly stopSeconds: number;
  /** Under /run, for its control socket. */
  readonly runtimeFolder?: string;
  /** Shared by everybody with the same name; absent: nothing it writes stays. */
  readonly state?: { readonly user: string; readonly folder: string };
  readonly workingFolder?: string;
  /** Ports it listens on. */
  readonly binds: readonly number[];
  /** Addresses it may speak with; null: all, since places outside have names and a filter knows addresses alone. */
  readonly addresses: readonly string[] | null;
  /** Built by others: what it needs of the machine is not known. */
  readonly foreign: boolean;
  readonly gpus: boolean;
}

/**
 * The text of a unit file. What the sandbox takes away is what `systemd-analyze security` asks for and Node.js can do
 * without; it needs memory that is written and executed, since it compiles what it runs.
 */
export function serviceText(service: ServiceFile): string {
  const { vcpu, memoryMb, addresses, state, foreign } = service;
  return [
    '# Written by dmas-opt.',
    '[Unit]',
    `Description=${plain(service.description)}`,
    `PartOf=${service.application}.target`,
    'After=network.target',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${service.command.map(argument).join(' ')}`,
    ...Object.entries(service.environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    ...service.environmentFiles.map(({ path, optional }) => `EnvironmentFile=${optional ? '-' : ''}${plain(path)}`),
    ...(service.workingFolder === undefined ? [] : [`WorkingDirectory=${plain(service.workingFolder)}`]),
    'Restart=always',
    'RestartSec=1',
    `TimeoutStopSec=${service.stopSeconds}`,
    '',
    '# What it may use',
    ...(vcpu > 0 ? [`CPUQuota=${Math.round(vcpu * 100)}%`] : []),
    ...(memoryMb > 0 ? [`MemoryMax=${memoryMb}M`, 'MemorySwapMax=0'] : []),
    '',
    '# Whom it may speak with',
    ...(addresses === null
      ? ['# Places outside have names, and a filter knows addresses alone: every address is open.']
      : filter(addresses)),
    ...(foreign ? [] : ['SocketBindDeny=any', ...service.binds.map((port) => `SocketBindAllow=tcp:${port}`)]),
    `RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX${foreign ? ' AF_NETLINK' : ''}`,
    '',
    '# What it may do',
    'DynamicUser=yes',
    ...(state === undefined ? [] : [`User=${state.user}`, `StateDirectory=${state.folder}`]),
    ...(service.runtimeFolder === undefined ? [] : [`RuntimeDirectory=${service.runtimeFolder}`, 'RuntimeDirectoryMode=0700']),
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'AmbientCapabilities=',
    'ProtectSystem=strict',
    `ProtectHome=${foreign ? 'read-only' : 'yes'}`,
    'PrivateTmp=yes',
    ...(service.gpus ? [] : ['PrivateDevices=yes']),
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectProc=invisible',
    'RemoveIPC=yes',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    ...(foreign ? [] : ['SystemCallFilter=@system-service', 'SystemCallErrorNumber=EPERM']),
    'UMask=0077',
    '',
    '[Install]',
    `WantedBy=${service.application}.target`,
    '',
  ].join('\n');
}

const filter = (addresses: readonly string[]) => ['IPAddressDeny=any', ...addresses.map((address) => `IPAddressAllow=${address}`)];

/** Addresses of places outside, when all of them are addresses; null when one is a name. */
export function outsideAddresses({ hosts }: Pick<MemberAccess, 'hosts'>): readonly string[] | null {
  return hosts.every(({ host }) => isAddress(host)) ? hosts.map(({ host }) => host) : null;
}

const isAddress = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || /^[\da-f:]*:[\da-f:.]*$/i.test(host);

// `%` begins a specifier everywhere, `$` a variable in commands alone.
const plain = (text: string): string => text.replaceAll('%', '%%').replaceAll('\n', ' ');
const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('%', '%%')}"`;
const argument = (text: string): string => {
  const safe = text.replaceAll('$', '$$$$');
  return /^[\w./:=@,+-]+$/.test(safe) ? safe : quoted(safe);
};

/** Ends and starts with its services, which want to be a part of it. */
export const targetText = (description: string): string =>
  `# Written by dmas-opt.
[Unit]
Description=${plain(description)}
After=network.target

[Install]
WantedBy=multi-user.target
`;
