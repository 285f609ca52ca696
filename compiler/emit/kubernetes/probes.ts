import type { StandingMember } from '../standing.ts';
import type { Context } from './context.ts';

const periodSeconds = 5;
/** Without a measurement: bundles load in well under a second, so a start of a minute is a hang. */
const startSeconds = 60;
/** A start on a busy node takes longer than the one that was measured. */
const slowStarts = 10;

/** How long a member may take to start before it is restarted, in seconds. */
export function startBudgetSeconds({ input }: Context, { id, program }: StandingMember): number {
  const measured = ((input.facts?.startMs[id] ?? 0) / 1_000) * slowStarts;
  return Math.ceil(Math.max(startSeconds, measured, (program?.readyTimeoutMs ?? 0) / 1_000));
}

/**
 * Startup shields a slow start from the liveness probe; liveness asks only whether the event loop turns, never whether
 * neighbours are there, since restarting a pod repairs no neighbour; readiness takes a replica out of the Services.
 */
export function probesOf(context: Context, member: StandingMember): object {
  const budget = startBudgetSeconds(context, member);
  const startup = (probe: object) => ({ ...probe, periodSeconds: 1, failureThreshold: budget, timeoutSeconds: 1 });
  if (member.program !== null) {
    const { ready } = member.program;
    const port = member.ports[0]?.port ?? 0;
    const probe = ready === undefined ? { tcpSocket: { port } } : { httpGet: { path: ready.path, port } };
    return { startupProbe: startup(probe), readinessProbe: { ...probe, periodSeconds, timeoutSeconds: 5 } };
  }
  const get = (path: string) => ({ httpGet: { path, port: controlPortName(member) } });
  return {
    startupProbe: startup(get('/healthz')),
    readinessProbe: { ...get('/readyz'), periodSeconds, timeoutSeconds: 2, failureThreshold: 2 },
    // Half a minute without an answer: garbage collection and a throttled start are over by then.
    livenessProbe: { ...get('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
  };
}

export const controlPortName = ({ controlPort }: StandingMember): string => `control-${controlPort}`;
