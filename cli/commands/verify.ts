import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExitCode, exitCodes, fail, type StageContext } from '../../compiler/contracts/index.ts';
import type { Report } from '../../reports/report.ts';
import { listenForInterrupt } from '../interrupt.ts';
import type { Verification, VerifiedNumber } from '../judgement.ts';
import { chosenLayout } from '../live/chosen.ts';
import { liveFacts } from '../live/client.ts';
import { findLive } from '../live/registry.ts';
import { openScenario, type Project } from '../project.ts';
import { targets } from '../registry.ts';
import { table } from '../render/format.ts';
import { findRunFolder, readJson } from '../run-folder.ts';
import { effectsOf } from '../side-effects.ts';
import { readStoredScenario } from '../stored-scenario.ts';
import { trialOf, verifyTrial } from '../verify.ts';

export interface VerifyOptions {
  readonly deployment?: string;
  readonly url?: string;
  readonly trial?: number;
  readonly allowSideEffects?: boolean;
  readonly json?: boolean;
  readonly runs: string;
}

/** Measures what is deployed once more and holds it against what a run reported of that layout. */
export async function verify(wanted: string | undefined, options: VerifyOptions): Promise<number> {
  if (options.url !== undefined && options.deployment !== undefined) fail('DMAS_CLI_USAGE', 'give --url or --deployment, not both');
  const run = await findRunFolder(options.runs, wanted);
  const project = await openScenario(await readStoredScenario(run));
  refuseEffects(project, options);
  const report = await readJson<Report>(run.file('report.json'));
  const { trial, urls } = await whatRuns(project, run.path, report, options);
  const say = (text: string) => void (options.json ? process.stderr : process.stdout).write(`${text}\n`);
  say(`${trial.label} (${trial.configurationId}) of run ${run.id}, at ${urls.join(' ')}`);
  const replayed = project.recording !== undefined;
  if (replayed) say('note: the run replayed its models and this deployment asks the real ones, so their times and answers are others');
  const interrupt = listenForInterrupt(() => say('ending'));
  const context: StageContext = { emit() {}, signal: interrupt.signal, now: Date.now, seed: project.scenario.config.seed };
  const folder = await mkdtemp(join(tmpdir(), 'dmas-verify-'));
  try {
    const target = await (targets.find(({ id }) => id === 'process') ?? project.target).load();
    const input = { project, target: target.create({}), run, trial, urls, folder, context, told: say };
    const found = await verifyTrial({ ...input, sameModels: !replayed });
    if (options.json) process.stdout.write(`${JSON.stringify({ ...found, blocks: undefined }, null, 2)}\n`);
    else process.stdout.write(render(found));
    const { code, sentence } = ending(found);
    say(sentence);
    return code;
  } finally {
    interrupt.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A study stubs what has side effects; what serves does not. */
function refuseEffects(project: Project, { allowSideEffects }: VerifyOptions): void {
  const real = effectsOf(project).filter(({ mode }) => mode !== 'live');
  if (real.length === 0 || allowSideEffects) return;
  fail('DMAS_CLI_USAGE', `a live deployment would really run ${real.map(({ name }) => name).join(', ')}, which the study did not`, {
    fix: 'Say --allow-side-effects if it may.',
  });
}

async function whatRuns(project: Project, run: string, report: Report, options: VerifyOptions) {
  if (options.url !== undefined) {
    const { configuration } = await chosenLayout(project, options.runs, run, options.trial);
    return { trial: trialOf(report.trials, configuration, report.studyId), urls: [options.url] };
  }
  const live = findLive(options.deployment, ({ name }) => name === project.scenario.name);
  const facts = await liveFacts(live.socket);
  if (facts.changing !== null) fail('DMAS_LIVE_BUSY', `${facts.deploymentId} is being changed (${facts.changing})`);
  return { trial: trialOf(report.trials, facts.configuration, report.studyId), urls: facts.ingressUrls };
}

function render({ numbers, limits }: Verification): string {
  const rows = numbers.map((number) => [
    number.name,
    show(number.unit, number.reported),
    show(number.unit, number.measured),
    number.verdict,
  ]);
  const held = limits.map(({ metric, requestClass, holds, value }) => {
    const unit = metric === 'errorRate' || metric === 'completion' ? 'share' : metric === 'cost' ? 'usd' : 'ms';
    const name = `limit ${metric}${requestClass === null ? '' : ` of ${requestClass}`}`;
    return [name, '', show(unit, value), holds === null ? 'undecided' : holds ? 'holds' : 'broken'];
  });
  return `${table([['', 'reported', 'measured', ''], ...rows, ...held])}\n`;
}

function show(unit: VerifiedNumber['unit'], value: VerifiedNumber['measured']): string {
  if (value === null) return 'no data';
  const scale = unit === 'share' ? 100 : 1;
  const print = (number: number) => (unit === 'usd' ? number.toFixed(4) : (number * scale).toFixed(unit === 'share' ? 2 : 1));
  const word = { ms: ' ms', usd: ' USD', share: ' %' }[unit];
  return `${print(value.point)}${word} [${print(value.low)}, ${value.high >= Number.MAX_SAFE_INTEGER ? '?' : print(value.high)}]`;
}

/** A broken limit first: it is what users were promised. */
export function ending({ numbers, limits, blocks }: Verification): { readonly code: ExitCode; readonly sentence: string } {
  const valid = blocks.filter(({ quality }) => quality.valid).length;
  const requests = blocks
    .filter(({ quality }) => quality.valid)
    .flatMap(({ classes }) => Object.values(classes))
    .reduce((sum, each) => sum + each.requests, 0);
  const seen = `${requests} requests in ${valid} of ${blocks.length} blocks that count`;
  const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name).join(', ');
  const broken = limits.filter(({ holds }) => holds === false).map(({ metric }) => ({ name: metric }));
  if (broken.length > 0)
    return { code: exitCodes.assertionFailed, sentence: `not verified: limits are broken: ${names(broken)} (${seen})` };
  const worse = numbers.filter(({ verdict }) => verdict === 'worse');
  if (worse.length > 0) return { code: exitCodes.regression, sentence: `not verified: worse than reported: ${names(worse)} (${seen})` };
  const open = [
    ...numbers.filter(({ verdict }) => verdict === 'undecided'),
    ...limits.filter(({ holds }) => holds === null).map(({ metric }) => ({ name: `limit ${metric}` })),
  ];
  if (open.length > 0 || requests === 0)
    return { code: exitCodes.inconclusive, sentence: `inconclusive: too little to tell: ${names(open) || 'everything'} (${seen})` };
  const better = numbers.filter(({ verdict }) => verdict === 'better');
  const rest = better.length > 0 ? `; better than reported: ${names(better)}` : '';
  return { code: exitCodes.success, sentence: `verified: nothing is worse than reported${rest} (${seen})` };
}
