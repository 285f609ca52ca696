import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdviceInput, adviseOn } from '../../../optimizer/advice.ts';
import { digestTraces } from '../../../profiler/analyze/digest.ts';
import type { Analysis } from '../../../reports/analysis.ts';
import { scenarioSchema } from '../../../scenarios/schema.ts';
import { otlpLines, type SpanSpec } from '../../profiler/analyze/otlp-file.ts';

export const pricing = scenarioSchema.parse({ workflow: '-' }).prices;

/** From files to the analysis, as the command does. */
export async function analysisOf(files: readonly string[], rest: Partial<AdviceInput> = {}): Promise<Analysis> {
  const context = { signal: new AbortController().signal, seed: 1 };
  const digest = await digestTraces(
    files.map((path) => ({ kind: 'file', path })),
    {},
    context,
  );
  const defaults = { pricing, protocolPrices: [], sampledShare: null, toolVersion: '0.0.0', inputs: files, marginShare: 0.03 };
  return adviseOn({ ...defaults, ...rest, digest }, context);
}

/** The same of traces made up here. */
export async function analysisOfSpans(traces: readonly SpanSpec[], rest: Partial<AdviceInput> = {}, everyMs?: number): Promise<Analysis> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-advice-'));
  try {
    const file = join(folder, 'traces.jsonl');
    await writeFile(file, otlpLines(traces, everyMs));
    return await analysisOf([file], { inputs: ['traces.jsonl'], ...rest });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
