import type { StandingMember } from '../standing.ts';
import { type Context, componentOf } from './context.ts';
import { bindingFileOf } from './environment.ts';
import type { KubernetesObject } from './input.ts';
import { digestOf } from './names.ts';

/**
 * The binding of a member: where it listens and under which names its peers are found. Its name holds a digest of the content and it
 * cannot be changed, so pods of an old rollout keep what they were started with, and `rollout undo` brings it back.
 */
export function bindingMap(context: Context, member: StandingMember): KubernetesObject | null {
  const data = bindingFileOf(context, member);
  const name = bindingMapName(context, member);
  if (data === null || name === null) return null;
  const component = componentOf(context.nameOf(member.id), context.prefix);
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: context.metadata(name, component), immutable: true, data };
}

export function bindingMapName(context: Context, member: StandingMember): string | null {
  const data = bindingFileOf(context, member);
  return data === null ? null : `${context.nameOf(member.id)}-${digestOf(JSON.stringify(data), 8)}`;
}
