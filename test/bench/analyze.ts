/**
 * How fast foreign traces are read and digested, and how much memory it takes. Without a path it writes a file of a million
 * spans of its own into a temporary folder first. Prints one JSON line last.
 *
 *   npx tsx test/bench/analyze.ts [path ...]
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { digestTraces } from '../../profiler/analyze/digest.ts';
import { writeTraceFile } from './lib/traces.ts';

const seed = 1;
const given = process.argv.slice(2);
const folder = given.length > 0 ? null : await mkdtemp(join(tmpdir(), 'dmas-opt-traces-'));
try {
  const paths = [...given];
  if (folder) {
    paths.push(join(folder, 'traces.jsonl'));
    await writeTraceFile(paths[0] as string, 1_000_000, seed);
  }
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const begin = performance.now();
  const inputs = paths.map((path) => ({ kind: 'file', path }) as const);
  const digest = await digestTraces(inputs, {}, { signal: new AbortController().signal, seed });
  const seconds = (performance.now() - begin) / 1000;
  const { spans, traces, complete } = digest.quality;
  // Of the whole process, and so also of what wrote the file.
  const peakRssMb = process.resourceUsage().maxRSS / 1024;
  const sizeMb = sizes.reduce((sum, size) => sum + size, 0) / 2 ** 20;
  process.stdout.write(
    `${JSON.stringify({
      bench: 'analyze',
      spans,
      traces,
      complete,
      sizeMb: Math.round(sizeMb),
      seconds: Number(seconds.toFixed(2)),
      spansPerSecond: Math.round(spans / seconds),
      peakRssMb: Math.round(peakRssMb),
    })}\n`,
  );
} finally {
  if (folder) await rm(folder, { recursive: true, force: true });
}
