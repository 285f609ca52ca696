import type { Descriptor, SpanRecord } from '../../compiler/contracts/index.ts';

/** Receives spans of all deployments and sorts them by block. */
export interface Collector {
  /** Base URL for OTLP/HTTP exporters on this host. */
  readonly url: string;
  /** Spans of one block so far; forgets them. A span belongs to the block its trace's ingress span names. */
  take(blockId: string): { readonly spans: readonly SpanRecord[]; readonly dropped: number };
  close(): Promise<void>;
}

export type CollectorDescriptor = Descriptor<
  'collector',
  { readonly signal: 'traces' | 'metrics' },
  { start(host: string): Promise<Collector> }
>;
export const defineCollector = (descriptor: Omit<CollectorDescriptor, 'kind'>): CollectorDescriptor => ({
  kind: 'collector',
  ...descriptor,
});
