import { bindingVariable } from '../../contracts/index.ts';
import { programEnvironment } from '../../plan/program-environment.ts';
import { type StandingMember, standingAt, standingProgram } from '../standing.ts';
import type { Context } from './context.ts';

export const bindingFolder = '/etc/dmas-opt';
const bindingFile = 'binding.json';

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: object;
}

export const secretNameOf = ({ input, nameOf }: Context, id: string): string => input.secretNames?.[id] ?? `${nameOf(id)}-secrets`;

/** Secrets by reference: no value of one is in any object written here. */
export function environmentOf(context: Context, member: StandingMember): readonly Variable[] {
  const secrets = [...member.secrets].sort().map((name) => ({
    name,
    valueFrom: { secretKeyRef: { name: secretNameOf(context, member.id), key: name } },
  }));
  if (member.program === null) return [{ name: bindingVariable, value: `${bindingFolder}/${bindingFile}` }, ...secrets];
  return [...secrets, ...podName(member), ...told(context, member)];
}

/** Stands in what is worked out before there is a pod. */
const podPlaceholder = 'POD-NAME';

const podName = ({ program }: StandingMember): Variable[] =>
  program?.instrumented === true ? [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] : [];

/** What a program of others is told. It looks nothing up again, so neighbours are named by Services with one stable address. */
function told({ input, members, balancedOf, accessOf }: Context, member: StandingMember): Variable[] {
  const { program, secrets } = member;
  if (program === null) return [];
  const plain = programEnvironment({
    program: standingProgram(member, program, accessOf(member.id)),
    unit: member.id,
    replica: 0,
    instanceId: podPlaceholder,
    deploymentId: input.name ?? input.plan.application,
    otlpEndpoints: input.otlpEndpoints,
    port: member.ports[0]?.port ?? 0,
    at: (address) => standingAt(members, balancedOf, address),
    // Kubernetes puts values of variables that stand before into `$(NAME)`.
    secrets: Object.fromEntries(secrets.map((name) => [name, `$(${name})`])),
  });
  return Object.entries(plain)
    .filter(([name]) => !secrets.includes(name))
    .map(([name, value]) => ({ name, value: escaped(value, secrets).replace(podPlaceholder, '$(POD_NAME)') }));
}

/** A dollar sign that the scenario wrote stays one. */
const escaped = (value: string, secrets: readonly string[]): string =>
  value.replace(/\$\((\w+)\)/g, (reference, name: string) => (secrets.includes(name) ? reference : `$${reference}`));

/** The binding of a member as its file, or null for what somebody else built. Pod mates are reached without leaving the pod. */
export function bindingFileOf({ podOf, peersOf }: Context, { id, binding }: StandingMember): { readonly [file: string]: string } | null {
  if (binding === null) return null;
  const mates = new Set(
    podOf(id)
      .members.map((mate) => mate.id)
      .filter((mate) => mate !== id)
      .map(peersOf),
  );
  const names = Object.fromEntries(
    Object.entries(binding.names ?? {}).map(([address, name]) => [address, mates.has(name.host) ? { ...name, host: '127.0.0.1' } : name]),
  );
  return { [bindingFile]: `${JSON.stringify({ ...binding, names }, null, 2)}\n` };
}
