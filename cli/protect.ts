import type { Place, Problem } from '../compiler/contracts/index.ts';
import type { LoadJob } from '../profiler/load/job.ts';
import { offeredPerSecond, type Workload } from '../profiler/load/workload.ts';
import type { Scenario, ScenarioConfig } from '../scenarios/schema.ts';

const shown = (value: number) => Number(value.toFixed(2));

/**
 * A load that a shared pool may not be offered is refused before anything starts, and so is one that nobody can bound:
 * clients that send again when their answer came.
 */
export function checkProtected(scenario: Scenario, workload: Workload | undefined, at: (path: string) => Place): Problem[] {
  const classes = workload?.classes ?? [];
  const offered = classes.reduce((sum, { arrivals }) => sum + (offeredPerSecond(arrivals) ?? 0), 0);
  const closed = classes.filter(({ arrivals }) => offeredPerSecond(arrivals) === null).map(({ name }) => name);
  return Object.entries(scenario.config.models).flatMap(([name, { backend, protect }]): Problem[] => {
    // On replay nobody is asked.
    if (protect?.maxRequestsPerSecond === undefined || backend === 'replay') return [];
    const { maxRequestsPerSecond: most, callsPerRequest } = protect;
    const path = `models.${name}.protect.maxRequestsPerSecond`;
    const problem = (message: string, fix: string): Problem => ({
      code: 'DMAS_CFG_OVER_LIMIT',
      severity: 'error',
      message,
      at: at(path),
      fix,
    });
    if (closed.length > 0)
      return [
        problem(
          `class ${closed.join(', ')} sends as fast as it is answered, so nobody can say that model "${name}" gets at most ${most} calls/s`,
          'give the class arrivals with a rate: { process: poisson, perSecond: … }',
        ),
      ];
    if (offered * callsPerRequest <= most) return [];
    const calls = callsPerRequest === 1 ? '' : ` with ${callsPerRequest} calls each`;
    return [
      problem(
        `the workload offers ${shown(offered)} requests/s${calls}, but the pool of model "${name}" may be given ${most} calls/s`,
        'lower the arrivals; if only some requests call it, say so with protect.callsPerRequest',
      ),
    ];
  });
}

/**
 * What a block would offer too much, now that a profile has counted the calls; undefined: nothing. `callsPerRequest` by
 * logical model.
 */
export function overCeiling(
  models: ScenarioConfig['models'],
  callsPerRequest: ReadonlyMap<string, number>,
  { classes }: Pick<LoadJob, 'classes'>,
): string | undefined {
  const offered = classes.reduce((sum, { arrivals }) => sum + (offeredPerSecond(arrivals) ?? Number.POSITIVE_INFINITY), 0);
  for (const [name, { backend, protect }] of Object.entries(models)) {
    const most = protect?.maxRequestsPerSecond;
    const calls = callsPerRequest.get(name);
    if (most === undefined || calls === undefined || backend === 'replay' || offered * calls <= most) continue;
    const rate = Number.isFinite(offered) ? `${shown(offered)} requests/s with` : 'as many requests as are answered, each with';
    return `The block would offer the pool of model ${name} ${rate} ${shown(calls)} calls; it may be given ${most} calls/s.`;
  }
  return undefined;
}
