import {
  type Configuration,
  configurationId,
  type Prediction,
  type Study,
  type Trial,
  type TrialRole,
} from '../../compiler/contracts/index.ts';
import type { Arm, BenchTools } from '../race/bench.ts';

export interface TrialArm extends Arm {
  readonly number: number;
  readonly roles: readonly string[];
}

const roleWords: { readonly [role: string]: string } = {
  baseline: 'the baseline',
  'all-in-one': 'all-in-one',
  'one-per-agent': 'one-per-agent',
};

/** What a layout is called in events and sentences. */
export function labelOf(number: number, roles: readonly string[]): string {
  const [first] = roles.flatMap((role) => roleWords[role] ?? []);
  return first ?? `layout ${number}`;
}

/** A layout in words, as advice: who shares a process with whom, and where there are replicas. */
export function describeTrial(arm: TrialArm | undefined, label: string): string {
  if (arm === undefined) return label;
  const { units } = arm.configuration;
  const replicas = units.filter((unit) => unit.replicas > 1).map((unit) => `${unit.replicas} replicas of ${unit.components.join(' + ')}`);
  const shared = units.filter((unit) => unit.components.length > 1).map((unit) => unit.components.join(' + '));
  const layout =
    units.length === 1
      ? 'everything in one process'
      : shared.length === 0
        ? 'every agent in a process of its own'
        : `${shared.join(' and ')} in one process${shared.length > 1 ? ' each' : ''}`;
  return [layout, ...replicas].join(', ');
}

/** Trials in the order they were added. */
export function trialArms(tools: Pick<BenchTools, 'recorder'>): readonly TrialArm[] {
  return tools.recorder.all('trial-added').map(({ number, configurationId: id, configuration, roles }) => ({
    configurationId: id,
    configuration,
    number,
    roles,
    label: labelOf(number, roles),
  }));
}

/** Adds a trial unless it stands there. */
export async function addTrial(
  tools: Pick<BenchTools, 'recorder'>,
  configuration: Configuration,
  roles: readonly TrialRole[],
  rest: { readonly prediction?: Prediction } = {},
): Promise<void> {
  const id = configurationId(configuration);
  const number = tools.recorder.all('trial-added').length;
  await tools.recorder.once(
    'trial-added',
    (entry) => entry.configurationId === id,
    () => ({ type: 'trial-added', number, configurationId: id, configuration, roles, ...rest }),
  );
}

/** The fold over all blocks of each configuration, in trial order. */
export function trialsOf(study: Study): readonly Trial[] {
  const { entries } = study;
  const chosen = new Set(entries.flatMap((entry) => (entry.type === 'searched' ? entry.chosen : [])));
  const winners = new Set(entries.flatMap((entry) => (entry.type === 'decided' && entry.kind === 'better' ? [entry.winner] : [])));
  return entries.flatMap((entry): readonly Trial[] => {
    if (entry.type !== 'trial-added') return [];
    const { configurationId: id, number } = entry;
    const blocks = [...study.blocks.values()].filter((block) => block.configurationId === id);
    const failure = entries.find((candidate) => candidate.type === 'trial-failed' && candidate.configurationId === id);
    const roles = [...entry.roles, ...(chosen.has(id) ? ['candidate'] : []), ...(winners.has(id) ? ['winner'] : [])] as TrialRole[];
    const base = { configurationId: id, number, roles: [...new Set(roles)], blockIds: blocks.map((block) => block.id) };
    const deployments = new Set(blocks.map((block) => block.deploymentId)).size;
    if (failure?.type === 'trial-failed') {
      return [{ ...base, deployments, state: 'failed' as const, failure: { code: failure.code, message: failure.message } }];
    }
    return [{ ...base, deployments, state: blocks.length > 0 ? ('measured' as const) : ('pending' as const) }];
  });
}
