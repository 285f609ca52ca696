import type { Report } from '../../reports/report.ts';
import { table } from '../render/format.ts';
import { listRunIds, readJson, runFolder } from '../run-folder.ts';

/** The runs there are, oldest first, with what each found. */
export async function list(options: { readonly runs: string; readonly json?: boolean }): Promise<number> {
  const ids = await listRunIds(options.runs);
  const rows = await Promise.all(
    ids.map(async (id) => {
      const report = await readJson<Report>(runFolder(`${options.runs}/${id}`, id).file('report.json')).catch(() => null);
      return {
        id,
        state: report?.state ?? 'unfinished',
        verdict: report?.verdict.kind ?? null,
        sentence: report?.verdict.sentence ?? 'dmas-opt resume goes on with it',
      };
    }),
  );
  if (options.json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else if (rows.length === 0) process.stdout.write(`No runs in ${options.runs}\n`);
  else
    process.stdout.write(
      `${table([['run', 'state', 'verdict', ''], ...rows.map((row) => [row.id, row.state, row.verdict ?? '–', row.sentence])])}\n`,
    );
  return 0;
}
