import type { TraceFormat, TraceSource } from '../../../compiler/contracts/trace-digest.ts';
import { listenForTraces } from './live.ts';
import { type FileLimits, readTraceFile } from './read-file.ts';
import type { ForeignSpan, SpanSink } from './span.ts';

export type TraceInput =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'live';
      readonly host: string;
      /** Null to leave it out; 0 for any free one. OpenTelemetry's own are 4318 and 4317. */
      readonly httpPort: number | null;
      readonly grpcPort: number | null;
      /** Null until the signal is aborted. */
      readonly seconds: number | null;
      /** Told the addresses once they are open. */
      readonly onListening?: (addresses: readonly string[]) => void;
    };

const maxReasons = 20;

/** Counts what a source gives and refuses. */
function sinkOf(keep: (span: ForeignSpan) => boolean) {
  const reasons = new Map<string, { count: number; firstAt: string }>();
  let spans = 0;
  let rejected = 0;
  const sink: SpanSink = {
    span(span) {
      if (keep(span)) spans++;
      else sink.reject('beyond the number of spans that are kept', '');
    },
    reject(reason, at) {
      rejected++;
      const known = reasons.get(reason);
      if (known) known.count++;
      else if (reasons.size < maxReasons) reasons.set(reason, { count: 1, firstAt: at });
    },
  };
  const facts = (): Pick<TraceSource, 'spans' | 'rejected' | 'reasons'> => ({
    spans,
    rejected,
    reasons: [...reasons].map(([reason, rest]) => ({ reason, ...rest })),
  });
  return { sink, facts };
}

/** Reads all inputs: files one after another, live ones side by side and beside the files. `keep` refuses a span by false. */
export async function readTraceInputs(
  inputs: readonly TraceInput[],
  keep: (span: ForeignSpan) => boolean,
  limits: FileLimits,
  signal: AbortSignal,
): Promise<TraceSource[]> {
  const sources = new Map<TraceInput, TraceSource[]>();
  const live = inputs.map(async (input) => {
    if (input.kind !== 'live') return;
    const listened: { readonly name: string; readonly format: TraceFormat; readonly sink: ReturnType<typeof sinkOf> }[] = [];
    const bytes = new Map<TraceFormat, number>();
    await listenForTraces(
      input,
      (format, name) => {
        const sink = sinkOf(keep);
        listened.push({ name, format, sink });
        return { ...sink.sink, received: (size) => bytes.set(format, (bytes.get(format) ?? 0) + size) };
      },
      signal,
    );
    sources.set(
      input,
      listened.map(({ name, format, sink }) => ({
        name,
        kind: 'live',
        format,
        gzip: false,
        sizeBytes: bytes.get(format) ?? 0,
        ...sink.facts(),
      })),
    );
  });
  for (const input of inputs) {
    if (input.kind !== 'file') continue;
    const { sink, facts } = sinkOf(keep);
    const read = await readTraceFile(input.path, sink, limits, signal);
    sources.set(input, [{ name: input.path, kind: 'file', ...read, ...facts() }]);
  }
  await Promise.all(live);
  return inputs.flatMap((input) => sources.get(input) ?? []);
}
