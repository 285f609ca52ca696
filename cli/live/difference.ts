import { type Configuration, type Plan, plannedModelsOf } from '../../compiler/contracts/index.ts';
import { describeChanges } from '../../compiler/plan/describe.ts';
import { diffPlans } from '../../compiler/plan/print.ts';
import { changesOfAccess, describeAccessChange } from '../../compiler/plan/print-access.ts';
import type { Compiled } from '../laboratory.ts';
import type { Project } from '../project.ts';
import { stateStores } from '../registry.ts';
import type { LiveFacts } from './contract.ts';

/** What an apply would do to a running deployment, for people; empty when nothing. */
export function differenceTo(facts: LiveFacts, project: Project, configuration: Configuration, compiled: Compiled): readonly string[] {
  const changes = describeChanges(facts.configuration, configuration);
  const planned = diffPlans(facts.plan, compiled.plan).filter((line) => !changes.includes(line));
  const recoded = compiled.bundles.filter(
    ({ id, sha256 }) => facts.code[id] !== undefined && facts.code[id] !== sha256 && id !== 'gateway',
  );
  const fresh = compiled.bundles.filter(({ id }) => facts.code[id] === undefined);
  const gone = Object.keys(facts.code).filter((id) => !compiled.bundles.some((bundle) => bundle.id === id));
  if (changes.length + planned.length + recoded.length + fresh.length + gone.length === 0) return [];
  const kept = compiled.bundles.filter(({ id, sha256 }) => facts.code[id] === sha256 || (id === 'gateway' && facts.code[id] !== undefined));
  const list = (ids: readonly string[]) => (ids.length === 0 ? 'none' : ids.join(', '));
  return [
    ...changes,
    ...planned.filter((line) => !line.startsWith('service gateway:')),
    `start: ${list([...fresh, ...recoded].map(({ id }) => id))}`,
    `stay: ${list(kept.map(({ id }) => id))}`,
    `go: ${list([...gone, ...recoded.map(({ id }) => id)])}`,
    ...describeAccessChange(changesOfAccess(facts.plan, compiled.plan)),
    ...lostSessions(project, [...gone, ...recoded.map(({ id }) => id)], facts.plan),
    ...doubled(compiled.plan, facts.plan),
  ];
}

/** Sessions that live in the memory of a replica end with it. */
function lostSessions(project: Project, leaving: readonly string[], plan: Plan): string[] {
  const shared = stateStores.find(({ id }) => id === project.scenario.config.state.store)?.traits.multiProcess === true;
  if (shared) return [];
  const keeping = new Set(project.workflow.agents.filter(({ usesSessionState }) => usesSessionState).map(({ name }) => name));
  const lost = plan.units.filter(({ id, agents }) => leaving.includes(id) && agents.some((name) => keeping.has(name))).map(({ id }) => id);
  return lost.length === 0
    ? []
    : [
        `note: ${lost.join(', ')} ${lost.length === 1 ? 'keeps' : 'keep'} sessions in memory, which ${lost.length === 1 ? 'ends' : 'end'} with it; state: { store: file } keeps them`,
      ];
}

/** Old and new stand side by side for a while. */
function doubled(next: Plan, present: Plan): string[] {
  const gpus = ({ services }: Plan) => services.reduce((sum, { program, replicas }) => sum + (program?.gpus ?? 0) * replicas, 0);
  const external = next.units.some((unit) => plannedModelsOf(unit).some(({ limiter }) => limiter !== undefined));
  return [
    ...(gpus(next) > 0 && JSON.stringify(servicesOf(next)) !== JSON.stringify(servicesOf(present))
      ? [`note: model servers of both layouts stand side by side for a while: up to ${gpus(next) + gpus(present)} GPUs`]
      : []),
    ...(external && limiterOf(next) !== limiterOf(present)
      ? ['note: while both layouts have work, each keeps its own count of a model’s quota']
      : []),
  ];
}

const servicesOf = ({ services }: Plan) => services.filter(({ program }) => program?.gpus !== undefined);
const limiterOf = ({ services }: Plan) => JSON.stringify(services.filter(({ kind }) => kind === 'limiter'));
