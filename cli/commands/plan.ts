import { configurationId, exitCodes, type Plan } from '../../compiler/contracts/index.ts';
import { accessOf } from '../../compiler/plan/access.ts';
import { describeChanges } from '../../compiler/plan/describe.ts';
import { printPlan } from '../../compiler/plan/print.ts';
import { changesOfAccess, describeAccessChange, printAccess, unenforcedBy } from '../../compiler/plan/print-access.ts';
import { servingPlanCount } from '../../optimizer/space/serving-plans.ts';
import { spaceSize } from '../../optimizer/space/size.ts';
import { planBlocks } from '../../optimizer/study/plan.ts';
import { planOf } from '../laboratory.ts';
import { layoutOf, referencesOf } from '../layouts.ts';
import { estimateMoney } from '../money-estimate.ts';
import { openProject, type Project } from '../project.ts';
import { seconds, table, usd } from '../render/format.ts';
import { effectsOf } from '../side-effects.ts';
import { studyTiming } from '../timing.ts';
import { undeclaredLines, undeclaredPlaces } from '../undeclared.ts';

interface PlanOptions {
  readonly layout?: string;
  readonly target?: string;
  readonly json?: boolean;
  readonly detailedExitcode?: boolean;
  /** Files of traces in which to look for places outside. */
  readonly traces?: readonly string[];
}

/** What a run would do, before anything is spent: the baseline, another layout beside it, blocks, time and money. */
export async function plan(file: string, options: PlanOptions): Promise<number> {
  const project = await openProject(file, options);
  const wanted = options.layout ?? plainLayout(project);
  const other = await layoutOf(project, wanted);
  const changes = describeChanges(project.baseline, other);
  const study = planStudy(project);
  const plans = { baseline: planOf(project, project.baseline), layout: planOf(project, other) };
  const rights = rightsIn(project, plans);
  const undeclared = options.traces && (await undeclaredPlaces(plans.baseline, options.traces, project.scenario.config.seed));
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ ...plans, changes, rights, ...(undeclared ? { undeclared } : {}), study, effects: effectsOf(project) }, null, 2)}\n`,
    );
  } else {
    process.stdout.write(
      [
        'Baseline (what runs today)',
        printPlan(plans.baseline),
        printAccess(rights.baseline),
        ...(rights.unenforced === null ? [] : [rights.unenforced, '']),
        `Changes to ${wanted}`,
        ...(changes.length > 0 ? changes.map((line) => `  ${line}`) : ['  none']),
        '',
        `Rights that ${wanted} adds (+) and removes (-)`,
        ...describeAccessChange(rights.change).map((line) => `  ${line}`),
        '',
        ...apartLines(project),
        ...(undeclared ? undeclaredLines(undeclared) : []),
        'Tools and external agents in the study',
        ...effectLines(project),
        '',
        ...servingLines(project),
        `A run would search ${study.layouts} layouts, deploy at most ${study.trials} and measure about ${study.blocks} blocks: ${seconds(study.secondsLow)} to ${seconds(study.secondsHigh)}, capped at ${seconds(study.capSeconds)}.`,
        `Model tokens: ${study.money === null ? 'no model price is known, so no money is counted' : `${usd(study.money.low)} to ${usd(study.money.high)} (${study.money.basis})`}.`,
        '',
      ].join('\n'),
    );
  }
  const differs = configurationId(project.baseline) !== configurationId(other);
  return options.detailedExitcode && differs ? exitCodes.differences : exitCodes.success;
}

/** What every unit may do on both layouts, and what the second adds and removes. */
function rightsIn({ target }: Project, plans: { readonly baseline: Plan; readonly layout: Plan }) {
  return {
    baseline: accessOf(plans.baseline),
    layout: accessOf(plans.layout),
    change: changesOfAccess(plans.baseline, plans.layout),
    unenforced: unenforcedBy(target.id, target.traits),
  };
}

/** Who never shares a unit because of what rights say, and why. */
function apartLines({ space }: Project): string[] {
  const pairs = space.apartByRights ?? [];
  if (pairs.length === 0) return [];
  return ['Never in one unit', ...pairs.map(({ components, reason }) => `  ${components.join(' and ')}: ${reason}`), ''];
}

/** A plain layout the constraints allow, the one that differs most from what usually runs first. */
function plainLayout(project: Project): string {
  const { allInOne, onePerAgent } = referencesOf(project);
  if (allInOne !== null) return 'all-in-one';
  return onePerAgent === null ? 'baseline' : 'one-per-agent';
}

function planStudy(project: Project) {
  const { search, budget } = project.scenario.config;
  const references = Object.values(referencesOf(project)).filter((reference) => reference !== null);
  const arms = new Set([project.baseline, ...references].map(configurationId)).size + search.candidates;
  const trials = Math.min(budget.trials, arms);
  const blocks = planBlocks(studyTiming(project.scenario), trials);
  return {
    layouts: String(spaceSize(project.space)),
    serving: { ways: servingPlanCount(project.space), unfit: project.space.unfit ?? [] },
    trials,
    ...blocks,
    capSeconds: budget.time / 1000,
    money: estimateMoney(project, blocks),
  };
}

/** How the models may be served, where more than one way is searched, and what of it cannot run. */
function servingLines({ space }: Project): string[] {
  const count = servingPlanCount(space);
  const unfit = space.unfit ?? [];
  if (count <= 1 && unfit.length === 0) return [];
  const pools = new Map(space.serving.flatMap((shape) => shape.pools.map((pool) => [pool.id, pool.options.length] as const)));
  return [
    'Serving of the models',
    ...table([...pools].map(([id, options]) => [`  pool ${id}`, `${options} ${options === 1 ? 'setting' : 'settings'}`])).split('\n'),
    `  together ${count} ${count === 1 ? 'way' : 'ways'} to serve the models`,
    ...unfit.map(
      ({ model, count: left, reason }) =>
        `  left out ${left} ${left === 1 ? 'setting' : 'settings'} of ${model} that cannot run: ${reason}`,
    ),
    '',
  ];
}

/** Who runs for real, who is answered from the tape or by a stub, who is blocked, and why. */
function effectLines(project: Project): string[] {
  const decisions = effectsOf(project);
  if (decisions.length === 0) return ['  none'];
  const words = { live: 'live', tape: 'from tape', stub: 'stubbed', blocked: 'BLOCKED' } as const;
  return table(decisions.map(({ name, kind, mode, why }) => [`  ${name}`, kind, words[mode], why])).split('\n');
}
