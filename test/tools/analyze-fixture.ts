import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Report, ReportTrial } from '../../reports/report.ts';

/*
 * Keeps of a finished run what `analyze` is held against: the spans of its baseline's profile block, and what each layout
 * then measured.
 *
 *     npx tsx test/tools/analyze-fixture.ts .dmas-opt/runs/<run>
 */

export interface MeasuredLayout {
  readonly label: string;
  readonly processes: number;
  /** p50 of the main class in each block a verdict may rest on, in ms. */
  readonly p50Ms: readonly number[];
  readonly usdPer1000: number | null;
}

export interface MeasuredRun {
  readonly scenario: string;
  readonly machine: string;
  readonly layouts: readonly MeasuredLayout[];
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new RangeError('name the folder of a finished run');
const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Report;
const traces = readdirSync(join(folder, 'traces')).find((name) => /^profile-0-[0-9a-f]+\.ndjson$/.test(name));
if (traces === undefined) throw new RangeError(`${folder} has no profile block`);

const measured = (trial: ReportTrial): MeasuredLayout => ({
  label: trial.label,
  processes: trial.configuration.units.reduce((sum, unit) => sum + unit.replicas, 0),
  p50Ms: trial.blocks
    .filter(({ valid, purpose }) => valid && purpose !== 'profile' && purpose !== 'capacity')
    .flatMap(({ classes }) => Object.values(classes).sort((a, b) => b.requests - a.requests)[0]?.latencyMs?.p50 ?? []),
  usdPer1000: trial.usdPer1000?.point ?? null,
});
const run: MeasuredRun = {
  scenario: report.scenario.name,
  machine: `${report.machine.cores} cores, ${report.machine.cpuModel}`,
  layouts: report.trials.map(measured).filter(({ p50Ms }) => p50Ms.length > 0),
};
const out = join(import.meta.dirname, '../fixtures/analyze', report.scenario.name);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'baseline.ndjson.gz'), gzipSync(readFileSync(join(folder, 'traces', traces)), { level: 9 }));
writeFileSync(join(out, 'measured.json'), `${JSON.stringify(run, null, 2)}\n`);
