import type { TraceDigest } from '../../compiler/contracts/index.ts';
import type { AnalysisQuality } from '../../reports/analysis.ts';
import { listed, plural } from './words.ts';

/** How far the traces themselves can be trusted, and in a sentence each what they cannot tell. */
export function qualityOf(digest: TraceDigest, sampled: number): AnalysisQuality {
  const { quality } = digest;
  return {
    unbrokenShare: quality.unbrokenShare,
    partialTraces: quality.traces - quality.complete,
    skewFound: quality.clockSkew.found,
    skewRepaired: quality.clockSkew.repaired,
    dark: quality.darkComponents,
    notes: [...gaps(digest, sampled), ...oddities(digest)],
  };
}

function gaps({ quality, edges, modelUse, components }: TraceDigest, sampled: number): string[] {
  const notes: string[] = [];
  const own = components.filter(({ kind }) => kind === 'agent' || kind === 'tool' || kind === 'service');
  if (quality.traces > 0 && quality.complete === 0)
    notes.push(
      `None of the ${plural(quality.traces, 'trace')} is whole (${causes(quality.partial)}): calls and tokens are counted, but no latency and no layout can be judged. Send all spans of a request, tail sampling included.`,
    );
  else if (sampled === 0 && quality.traces > 0) notes.push('No whole trace ended well, so no latency and no layout can be judged.');
  if (edges.length === 0 && components.length > 1 && quality.traces > 1)
    notes.push(
      'No call between two components was seen: spans do not name parents across processes. Pass the W3C header traceparent on with each call (every OpenTelemetry SDK does with its HTTP instrumentation switched on).',
    );
  if (modelUse.length === 0)
    notes.push(
      'No model call was recognized. If there are any, they are inside the own time of their callers: GenAI, OpenInference or OpenLLMetry instrumentation would show them.',
    );
  else if (modelUse.every(({ tokens }) => tokens === null))
    notes.push(
      'Model calls carry no token counts (gen_ai.usage.input_tokens, gen_ai.usage.output_tokens), so what they cost cannot be counted.',
    );
  if (own.length > 0 && own.every(({ cpuMsPerCall }) => cpuMsPerCall === null))
    notes.push('No span says how much CPU was used: own time may be work or waiting, which widens the intervals below.');
  return notes;
}

function oddities({ quality }: TraceDigest): string[] {
  const notes: string[] = [];
  if (quality.complete > 0 && quality.complete < quality.traces)
    notes.push(
      `${quality.traces - quality.complete} of ${quality.traces} traces are partial (${causes(quality.partial)}): they count in calls and tokens, not in latency.`,
    );
  if (quality.clockSkew.found > 0)
    notes.push(
      `${plural(quality.clockSkew.found, 'server span')} lay outside the call that waited for ${quality.clockSkew.found === 1 ? 'it' : 'them'} (up to ${quality.clockSkew.maxMs.toFixed(1)} ms): clocks disagree; ${quality.clockSkew.repaired} moved back.`,
    );
  if (quality.darkComponents.length > 0)
    notes.push(
      `${listed(quality.darkComponents)} ${quality.darkComponents.length === 1 ? 'is' : 'are'} called and send${quality.darkComponents.length === 1 ? 's' : ''} no spans of ${quality.darkComponents.length === 1 ? 'its' : 'their'} own.`,
    );
  if (quality.duplicateSpanIds > 0)
    notes.push(`${plural(quality.duplicateSpanIds, 'span id')} came twice and count${quality.duplicateSpanIds === 1 ? 's' : ''} once.`);
  if (quality.impossibleTimes > 0) notes.push(`${plural(quality.impossibleTimes, 'span')} had impossible times.`);
  return notes;
}

function causes(partial: TraceDigest['quality']['partial']): string {
  const words: { readonly [cause in keyof typeof partial]: string } = {
    'no-root': 'without a root',
    'missing-parent': 'with a missing parent',
    'several-roots': 'with several roots',
    cycle: 'in a circle',
  };
  const told = (Object.keys(words) as (keyof typeof partial)[]).filter((cause) => partial[cause] > 0);
  return told.map((cause) => `${partial[cause]} ${words[cause]}`).join(', ');
}
