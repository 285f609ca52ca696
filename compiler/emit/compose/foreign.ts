import type { LogicalAddress, MemberAccess, PlannedProgram } from '../../contracts/index.ts';
import { commandLine, programEnvironment } from '../../plan/program-environment.ts';
import { type StandingMember, standingProgram } from '../standing.ts';

interface ForeignPlace {
  readonly deploymentId: string;
  readonly host: string;
  readonly at: (address: LogicalAddress) => string;
  readonly access: Pick<MemberAccess, 'reaches'>;
}

/** The part of a service that is the program's own: its image, what it is told, what it needs of the machine. */
export function foreignService(member: StandingMember, program: PlannedProgram, place: ForeignPlace): object {
  const port = member.ports[0]?.port ?? 0;
  const environment = programEnvironment({
    program: standingProgram(member, program, place.access),
    unit: member.id,
    replica: 0,
    instanceId: place.host,
    deploymentId: place.deploymentId,
    otlpEndpoints: [],
    port,
    at: place.at,
    secrets: Object.fromEntries(member.secrets.map((name) => [name, tokenOf(name)])),
  });
  const { command, mount, sharedMemoryMb, gpus } = program;
  return {
    image: program.image ?? '',
    ...(command === undefined ? {} : { entrypoint: commandLine(command, port).map(escaped), command: [] }),
    environment: Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, secretsShown(escaped(value), member.kind)])),
    ...(mount === undefined ? {} : { volumes: [`${escaped(mount.folder)}:${mount.at}`] }),
    ...(sharedMemoryMb === undefined ? {} : { shm_size: `${sharedMemoryMb}m` }),
    deploy: { replicas: member.replicas, ...(gpus === undefined ? {} : { resources: { reservations: { devices: [gpuDevice(gpus)] } } }) },
  };
}

const gpuDevice = (count: number) => ({ driver: 'nvidia', count, capabilities: ['gpu'] });

/** Compose puts variables in place of `$`; a doubled one is a plain one. */
export const escaped = (text: string): string => text.replaceAll('$', '$$$$');

/** A unit cannot do without its secrets; a service takes them where they are set. */
export const secretOf = (name: string, kind: 'unit' | 'service'): string =>
  kind === 'unit' ? `\${${name}:?set ${name} in your shell}` : `\${${name}:-}`;

const tokenOf = (name: string) => `@dmas-opt:secret:${name}@`;
const secretsShown = (text: string, kind: 'unit' | 'service') =>
  text.replace(/@dmas-opt:secret:(\w+)@/g, (_, name: string) => secretOf(name, kind));
