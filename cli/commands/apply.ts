import { createInterface } from 'node:readline/promises';
import { type ErrorCode, type ExitCode, errorCatalogue, exitCodes, fail } from '../../compiler/contracts/index.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { compileLive } from '../laboratory.ts';
import { insistOn } from '../layouts.ts';
import { chosenLayout } from '../live/chosen.ts';
import { applyLive, liveFacts } from '../live/client.ts';
import type { LiveEvent, LiveOutcome } from '../live/contract.ts';
import { differenceTo } from '../live/difference.ts';
import { findLive } from '../live/registry.ts';
import { toolVersion } from '../package-files.ts';
import { openProject } from '../project.ts';
import { exportLayout } from './export.ts';

export interface ApplyOptions {
  readonly deployment?: string;
  readonly trial?: number;
  /** Milliseconds. */
  readonly watch: number;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly inconclusive: 'pass' | 'fail';
  /** Folder of a repository whose files rule what runs. */
  readonly gitops?: string;
  readonly format: string;
  readonly runs: string;
}

/** Moves a running deployment to another layout without dropping a request, or says why the old one serves again. */
export async function apply(wanted: string, options: ApplyOptions): Promise<number> {
  if (options.gitops !== undefined) {
    // Whoever watches that repository brings it about; nothing that runs is touched from here.
    const { runs, format, trial, gitops } = options;
    return exportLayout(wanted, { runs, format, out: gitops, force: true, ...(trial === undefined ? {} : { trial }) });
  }
  const live = findLive(options.deployment);
  const facts = await liveFacts(live.socket);
  const project = await openProject(facts.scenarioFile, { target: facts.target });
  const { configuration, what } = await chosenLayout(project, options.runs, wanted, options.trial);
  insistOn(project, configuration);
  const compiled = await compileLive(project, configuration);
  const difference = differenceTo(facts, project, configuration, compiled);
  const say = (text: string) => void process.stdout.write(`${text}\n`);
  say(`${facts.name} (${facts.deploymentId}) at ${facts.ingressUrls.join(' ')}: to ${what}`);
  if (difference.length === 0) {
    say('  nothing changes');
    return exitCodes.success;
  }
  for (const line of difference) say(`  ${line}`);
  if (options.dryRun) return exitCodes.success;
  if (!options.yes && !(await agreed())) return exitCodes.interrupted;

  const interrupt = listenForInterrupt(() => say('going back; Ctrl-C again leaves it to the deployment'));
  try {
    const watch = { durationMs: options.watch, limits: project.scenario.config.objective.slo, insist: options.inconclusive === 'fail' };
    const request = { toolVersion: toolVersion(), configuration, plan: compiled.plan, bundles: compiled.bundles, watch };
    const outcome = await applyLive(live.socket, request, (event) => tell(event, say), interrupt.signal);
    say(sentenceOf(outcome, options));
    return codeOf(outcome, options);
  } finally {
    interrupt.dispose();
  }
}

async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY)
    fail('DMAS_CLI_USAGE', 'nobody can be asked here', { fix: 'Say --yes, or --dry-run to see the difference only.' });
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question('Apply? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}

function tell(event: LiveEvent, say: (text: string) => void): void {
  if (event.type === 'phase') say(`${event.phase}: ${event.detail}`);
  // A line in ten seconds tells that it goes on.
  else if (event.type === 'watching' && Math.round(event.secondsLeft) % 10 === 0)
    say(`  ${event.requests} requests so far, ${event.failures} failed; ${event.secondsLeft.toFixed(0)} s left`);
}

function sentenceOf({ serves, failure, watch }: LiveOutcome, options: ApplyOptions): string {
  if (serves === 'old') return `not applied: ${failure?.message ?? 'no reason was given'}`;
  if (watch === null) return options.watch > 0 ? 'applied, but not proven: this target does not watch' : 'applied; it was not watched';
  if (watch.verdict === 'undecided')
    return `applied, but not proven: ${watch.reason}${options.watch > 0 ? '; a longer --watch sees more' : ''}`;
  return `applied: ${watch.reason}`;
}

function codeOf({ serves, failure, watch }: LiveOutcome, options: ApplyOptions): ExitCode {
  if (serves === 'new') return options.watch > 0 && watch?.verdict !== 'held' ? exitCodes.inconclusive : exitCodes.success;
  if (watch?.verdict === 'undecided') return exitCodes.inconclusive;
  const known = errorCatalogue[failure?.code as ErrorCode] as (typeof errorCatalogue)[ErrorCode] | undefined;
  return known?.exitCode ?? exitCodes.unexpected;
}
