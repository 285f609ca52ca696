import type { Block } from '../compiler/contracts/index.ts';
import type { ReportHuman } from './report.ts';

/** How long people took, per request class, over all blocks: no layout changes it, so the blocks of all layouts are one. */
export function humanTime(blocks: readonly Block[]): readonly ReportHuman[] {
  const names = [...new Set(blocks.flatMap((block) => Object.keys(block.classes)))].sort();
  return names.flatMap((requestClass) => {
    const results = blocks.flatMap((block) => block.classes[requestClass] ?? []);
    const paused = results.flatMap(({ human }) => human ?? []);
    const requests = paused.reduce((sum, each) => sum + each.requests, 0);
    if (requests === 0) return [];
    const totalMs = paused.reduce((sum, { waitMs }) => sum + waitMs.mean * waitMs.n, 0);
    return {
      requestClass,
      answered: results.reduce((sum, { ok }) => sum + ok, 0),
      requests,
      pauses: paused.reduce((sum, { pauses }) => sum + pauses, 0),
      meanMs: totalMs / requests,
      maxMs: Math.max(...paused.map(({ waitMs }) => waitMs.max)),
    };
  });
}
