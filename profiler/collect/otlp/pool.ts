import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../../compiler/contracts/traces.ts';

/**
 * Spans waiting to be taken, by trace. A trace belongs to the block its ingress span names; spans of other units often
 * arrive before that one, so the block is looked up when the spans are taken, not when they come.
 */
export interface SpanPool {
  add(spans: readonly SpanRecord[]): void;
  take(blockId: string): { readonly spans: readonly SpanRecord[]; readonly dropped: number };
  readonly size: number;
}

interface TraceEntry {
  spans: SpanRecord[];
  blockId: string | null;
}

/** `maxSpans` and `maxTraces` bound the memory: beyond them spans are dropped and counted, oldest unclaimed trace first. */
export function createSpanPool(maxSpans: number, maxTraces: number): SpanPool {
  const traces = new Map<string, TraceEntry>();
  const blocks = new Map<string, Set<string>>();
  const droppedByBlock = new Map<string, number>();
  let size = 0;
  // Dropped before their block was known; told with the next block taken.
  let droppedUnclaimed = 0;

  const drop = (blockId: string | null, count: number) => {
    if (count === 0) return;
    if (blockId === null) droppedUnclaimed += count;
    else droppedByBlock.set(blockId, (droppedByBlock.get(blockId) ?? 0) + count);
  };
  const forget = (traceId: string, entry: TraceEntry) => {
    traces.delete(traceId);
    if (entry.blockId !== null) blocks.get(entry.blockId)?.delete(traceId);
    size -= entry.spans.length;
    drop(entry.blockId, entry.spans.length);
  };
  const makeRoom = () => {
    if (traces.size <= maxTraces && size <= maxSpans) return;
    // A tenth more than needed goes at once, so that a full pool is not searched again for every batch.
    const roomy = () => traces.size <= 0.9 * maxTraces && size <= 0.9 * maxSpans;
    // First what nobody has claimed or what was taken already, then the oldest of all.
    for (const [traceId, entry] of traces) {
      if (roomy()) return;
      if (entry.blockId === null || entry.spans.length === 0) forget(traceId, entry);
    }
    for (const [traceId, entry] of traces) {
      if (roomy()) return;
      forget(traceId, entry);
    }
  };
  const claim = (traceId: string, entry: TraceEntry, blockId: string) => {
    entry.blockId = blockId;
    const members = blocks.get(blockId) ?? new Set();
    blocks.set(blockId, members.add(traceId));
  };

  return {
    add(spans) {
      for (const span of spans) {
        const entry = traces.get(span.traceId) ?? { spans: [], blockId: null };
        traces.set(span.traceId, entry);
        const blockId = span.attributes[attr.blockId];
        if (entry.blockId === null && typeof blockId === 'string') claim(span.traceId, entry, blockId);
        entry.spans.push(span);
        size++;
      }
      makeRoom();
    },
    take(blockId) {
      const spans: SpanRecord[] = [];
      for (const traceId of blocks.get(blockId) ?? []) {
        const entry = traces.get(traceId);
        if (!entry) continue;
        for (const span of entry.spans) spans.push(span);
        size -= entry.spans.length;
        // The empty entry stays, so that a straggler still finds its block.
        entry.spans = [];
      }
      const dropped = (droppedByBlock.get(blockId) ?? 0) + droppedUnclaimed;
      droppedByBlock.delete(blockId);
      droppedUnclaimed = 0;
      return { spans, dropped };
    },
    get size() {
      return size;
    },
  };
}
