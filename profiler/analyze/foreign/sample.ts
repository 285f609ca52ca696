import { createRandom, deriveSeed } from '../../../compiler/contracts/random.ts';
import type { TraceSample } from '../../../compiler/contracts/trace-digest.ts';
import { canonicalTrace } from './canonical.ts';
import { requestName } from './requests.ts';
import type { ForeignTree } from './tree.ts';
import type { ComponentRef, ForeignVisit } from './visits.ts';

interface Taken {
  readonly tree: ForeignTree;
  readonly visits: readonly ForeignVisit[];
}

/** Deeper and larger traces are loops or attacks; what replays single requests walks them recursively. */
const maxDepth = 500;
const maxSpansPerTrace = 5_000;

export interface SampleTally {
  add(tree: ForeignTree, visits: readonly ForeignVisit[]): void;
  result(nameOf: (component: ComponentRef) => string): TraceSample;
}

/** At most that many traces, each with equal chance (Vitter's algorithm R), and of these as many as fit into `maxSpans`. */
export function createSample(seed: number, maxTraces: number, maxSpans: number): SampleTally {
  const taken: Taken[] = [];
  const random = createRandom(deriveSeed(seed, 'trace-sample'));
  let seen = 0;
  return {
    add(tree, visits) {
      if (tree.nodes.length > maxSpansPerTrace || depthOf(visits) > maxDepth) return;
      seen++;
      if (taken.length < maxTraces) {
        taken.push({ tree, visits });
        return;
      }
      const at = random.integer(seen);
      if (at < maxTraces) taken[at] = { tree, visits };
    },
    result(nameOf) {
      const spans = [];
      let traces = 0;
      for (const { tree, visits } of random.shuffle(taken)) {
        const mine = canonicalTrace(tree, visits, { nameOf, requestClass: requestName(tree) });
        if (spans.length + mine.length > maxSpans) continue;
        for (const span of mine) spans.push(span);
        traces++;
      }
      spans.sort((a, b) => a.startMs - b.startMs || (a.traceId < b.traceId ? -1 : 1));
      return { seed, traces, of: seen, spans };
    },
  };
}

function depthOf(visits: readonly ForeignVisit[]): number {
  const depths = new Map<ForeignVisit, number>();
  let deepest = 0;
  for (const visit of visits) {
    const depth = 1 + (visit.caller ? (depths.get(visit.caller) ?? 0) : 0);
    depths.set(visit, depth);
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
