import { readFile, writeFile } from 'node:fs/promises';
import { basename, relative, resolve } from 'node:path';
import { exitCodes, fail } from '../../compiler/contracts/index.ts';
import { parseArrivalLog } from '../../profiler/load/arrival-log.ts';
import { type ArrivalReport, fitArrivals } from '../../profiler/load/fit-arrivals.ts';
import type { DrawnArrivals } from '../../profiler/load/processes.ts';
import { compareSessions } from '../../profiler/load/session-compare.ts';
import { drawSessions } from '../../profiler/load/session-draw.ts';
import { fitSessions } from '../../profiler/load/session-fit.ts';
import { parseSessionLog } from '../../profiler/load/session-log.ts';
import { table } from '../render/format.ts';

export interface LoadFitOptions {
  readonly seed: number;
  readonly json?: boolean;
  readonly out?: string;
}

/** Which arrival process a log looks like, how far from each it is, and what to write into a scenario. */
export async function fitArrivalLog(file: string, options: LoadFitOptions): Promise<number> {
  const parsed = parseArrivalLog(await text(file));
  if ('error' in parsed) {
    const at = parsed.line === undefined ? { file } : { file, line: parsed.line, column: 1 };
    fail('DMAS_CFG_INVALID_VALUE', `${file} ${parsed.error}`, {
      at,
      fix: 'Give a CSV with a TIMESTAMP column, or one time in seconds per line.',
    });
  }
  const report = enough(file, () => fitArrivals(parsed.timesMs, options.seed));
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : arrivalText(file, report));
  return exitCodes.success;
}

/** A compact description of agent sessions, and how far sessions drawn from it are from those it was fitted to. */
export async function fitSessionLog(file: string, options: LoadFitOptions): Promise<number> {
  const { sessions, problems } = parseSessionLog(await text(file));
  const [first] = problems;
  if (first !== undefined) {
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more lines)` : '';
    fail('DMAS_CFG_INVALID_VALUE', `${file}: ${first.message}${more}`, {
      at: { file, line: first.line, column: 1 },
      fix: 'Give JSON Lines, one session a line, with requests of in, out and think_time; see docs/workload.md.',
    });
  }
  const fit = enough(file, () => fitSessions(sessions, basename(file)));
  const compared = compareSessions(sessions, drawSessions(fit, drawnPerRecorded * fit.observed.sessions, options.seed));
  if (options.out !== undefined) await writeFile(resolve(options.out), `${JSON.stringify(fit, null, 1)}\n`);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ fit, compared }, null, 2)}\n`);
    return exitCodes.success;
  }
  const rows = compared.map(({ quantity, ksDistance, p50, p95 }) => [quantity, ksDistance.toFixed(3), ...[...p50, ...p95].map(short)]);
  const head = ['quantity', 'KS distance', 'p50 recorded', 'p50 drawn', 'p95 recorded', 'p95 drawn'];
  const { observed, user, compaction, rewriteShare, subagents } = fit;
  process.stdout.write(
    [
      `${observed.sessions} sessions with ${observed.turns} turns and ${observed.subagents} sub-agents in ${file}`,
      '',
      table([head, ...rows], [1, 2, 3, 4, 5]),
      '',
      `${percent(user.share)} of the turns follow a person; a context is compacted near ${compaction.atTokens} tokens (${percent(compaction.share)} of turns earlier); ` +
        `${percent(rewriteShare)} of turns rewrite their prefix; ${percent(subagents.share)} start sub-agents.`,
      ...(observed.subagents < 30
        ? [`Sub-agents rest on ${observed.subagents} only: how many and how long is a guess; set subagentShare to ask for more.`]
        : []),
      options.out === undefined
        ? 'Write it with --out sessions.json, and name that file in a class with process: sessions.'
        : `Wrote ${relative(process.cwd(), resolve(options.out))}. In a class: arrivals: { process: sessions, perSecond: 0.1, file: ./${basename(options.out)} }`,
      '',
    ].join('\n'),
  );
  return exitCodes.success;
}

/** Drawn sessions per recorded one, so that the distance is the recorded sample's and not the drawn one's. */
const drawnPerRecorded = 4;

const percent = (share: number) => `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;
const short = (value: number) => (value >= 10 ? Math.round(value).toString() : value.toFixed(2));
const rate = (value: number) => Number(value.toPrecision(4)).toString();

async function text(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : `cannot be read: ${(error as Error).message}`;
    return fail('DMAS_FILE_UNREADABLE', `${file} ${reason}`);
  }
}

function enough<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail('DMAS_LOAD_TOO_SHORT', `${file}: ${error.message}`);
  }
}

function arrivalText(file: string, report: ArrivalReport): string {
  const { dispersion, fits, left } = report;
  const windows = dispersion.map(({ windowMs }) => `${windowMs / 1000} s`);
  const rows = fits.map((fit) => [
    fit.arrivals.process,
    fit.ksDistance.toFixed(4),
    (fit.bic - (fits[0]?.bic ?? 0)).toFixed(0),
    ...fit.dispersion.map(({ p50, p05, p95 }) => `${p50.toFixed(2)} [${p05.toFixed(2)}, ${p95.toFixed(2)}]`),
  ]);
  const log = ['the log', '', '', ...dispersion.map(({ index }) => index.toFixed(2))];
  const head = ['process', 'KS distance', 'BIC over best', ...windows.map((window) => `dispersion, ${window}`)];
  const [best] = fits;
  return [
    `${report.arrivals} arrivals in ${rate(report.seconds)} s (${file}): ${rate(report.perSecond)} per second, cv of the gaps ${report.cv.toFixed(2)}`,
    '',
    table([head, log, ...rows], head.map((_, i) => i).slice(1)),
    '',
    ...left.map(({ process, reason }) => `${process}: not fitted; ${reason}.`),
    ...(best === undefined ? [] : [verdict(best, report), '', yamlOf(best.arrivals), '']),
  ].join('\n');
}

function verdict(best: ArrivalReport['fits'][number], { dispersion, ksCritical }: ArrivalReport): string {
  const off = dispersion.filter(({ index }, i) => {
    const drawn = best.dispersion[i];
    return drawn !== undefined && (index < drawn.p05 || index > drawn.p95);
  });
  const faults = [
    ...(best.ksDistance > ksCritical
      ? [`its gaps differ (distance ${best.ksDistance.toFixed(4)}, by chance up to ${ksCritical.toFixed(4)})`]
      : []),
    ...(off.length > 0 ? [`its bursts differ over ${off.map(({ windowMs }) => `${windowMs / 1000} s`).join(', ')}`] : []),
  ];
  const name = best.arrivals.process;
  if (faults.length === 0) return `${name} is nearest, and the log cannot be told from it.`;
  return `${name} is nearest, but the log can be told from it: ${faults.join('; ')}. Where that matters, play the log itself (process: log).`;
}

/** To paste under a class. */
function yamlOf(arrivals: DrawnArrivals): string {
  if (arrivals.process === 'gamma') return `arrivals: { process: gamma, perSecond: ${rate(arrivals.perSecond)}, cv: ${rate(arrivals.cv)} }`;
  if (arrivals.process !== 'mmpp') return `arrivals: { process: ${arrivals.process}, perSecond: ${rate(arrivals.perSecond)} }`;
  const [calm, burst] = arrivals.states.map(({ perSecond, meanMs }) => `{ perSecond: ${rate(perSecond)}, lasts: ${Math.round(meanMs)}ms }`);
  return `arrivals: { process: mmpp, calm: ${calm}, burst: ${burst} }`;
}
