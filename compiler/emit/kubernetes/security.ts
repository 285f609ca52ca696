import type { StandingMember } from '../standing.ts';
import type { Context, PodGroup } from './context.ts';

/** Nobody's id on any machine: above what distributions and common base images give to their users. */
export const runAsUser = 10_001;

/**
 * Pod level of the standard "restricted" (kubernetes.io/docs/concepts/security/pod-security-standards): no root, system calls
 * of the runtime's default profile alone. Volumes belong to the same group, so that files of a shared one can be written.
 */
export function podSecurity({ input }: Context, { members }: PodGroup): object {
  const own = members.some(({ id, program }) => program !== null && input.asImageUser?.includes(id));
  return {
    ...(own ? {} : { runAsNonRoot: true, runAsUser, runAsGroup: runAsUser, fsGroup: runAsUser, fsGroupChangePolicy: 'OnRootMismatch' }),
    seccompProfile: { type: 'RuntimeDefault' },
    ...(input.appArmor === true ? { appArmorProfile: { type: 'RuntimeDefault' } } : {}),
  };
}

/** Container level: nothing to gain, nothing to write to. Images of others may need to write beside their programs. */
export const containerSecurity = ({ program }: StandingMember): object => ({
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  ...(program === null ? { readOnlyRootFilesystem: true } : {}),
});
