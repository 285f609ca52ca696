import { relative } from 'node:path';
import type { FittedProfile } from '../commands/llm/fit.ts';
import { table } from './format.ts';

const percent = (share: number) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
const short = (value: number) => (value === 0 ? '0' : value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** What was fitted, how well, and what the data could not say. */
export function renderFit({ profile, from, compared }: FittedProfile, out: string | undefined): string {
  const { fit, endpoint } = profile;
  const lines = [`${profile.name}: ${profile.model} on ${profile.gpu}, from ${from}`];
  if (fit)
    lines.push(
      `Fit error over ${compared} ${from === 'operator timings' ? 'batches' : 'requests'}: median ${percent(fit.medianErrorShare)}, 90th percentile ${percent(fit.p90ErrorShare)}`,
    );
  const head = ['tensor parallel', 'step of 1 token', 'per 1000 prompt tokens', 'per sequence', 'per 1000 tokens of context'];
  const rows = Object.entries(profile.stepsByTensorParallel).map(([degree, steps]) => {
    const { dense, perSequence, decodeAttention, hostMs, hostMsPerSequence } = steps;
    const last = dense.at.length - 1;
    const span = (dense.at[last] ?? 1) - (dense.at[0] ?? 0);
    const sequences = (perSequence.at[1] ?? 1) - (perSequence.at[0] ?? 0);
    const perMore = perSequence.at.length > 1 ? ((perSequence.ms[1] ?? 0) - (perSequence.ms[0] ?? 0)) / sequences : 0;
    return [
      degree,
      `${short(hostMs + (dense.ms[0] ?? 0))} ms`,
      `${short((((dense.ms[last] ?? 0) - (dense.ms[0] ?? 0)) / Math.max(1, span)) * 1000)} ms`,
      `${short(perMore + decodeAttention.msPerSequence + hostMsPerSequence)} ms`,
      `${short(decodeAttention.msPerContextToken * 1000)} ms`,
    ];
  });
  lines.push(table([head, ...rows], [0, 1, 2, 3, 4]));
  if (endpoint) {
    lines.push(`Outside the engine: ${short(endpoint.overheadMs)} ms per request`);
    lines.push(
      `Sequences at a time: ${endpoint.maxNumSeqs ?? 'no limit seen'}; tokens per step: ${endpoint.maxNumBatchedTokens ?? 'no limit seen'}`,
    );
  }
  if (fit && fit.undetermined.length > 0) lines.push('Not determined:', ...fit.undetermined.map((text) => `  - ${text}`));
  if (out !== undefined) lines.push(`Wrote ${relative(process.cwd(), out) || out}`);
  return `${lines.join('\n')}\n`;
}
