import type { Descriptor, SpanRecord } from '../../compiler/contracts/index.ts';
import type { MetricPage } from './metrics/prometheus.ts';
import type { Reading } from './metrics/reading.ts';

/** Receives spans of all deployments and sorts them by block. */
export interface Collector {
  /** Base URL for OTLP/HTTP exporters on this host. */
  readonly url: string;
  /** Spans of one block so far; forgets them. A span belongs to the block its trace's ingress span names. */
  take(blockId: string): { readonly spans: readonly SpanRecord[]; readonly dropped: number };
  close(): Promise<void>;
}

/** Reads what an engine or a GPU says of itself at one moment. Pure: who asks, and how often, is the watch's business. */
export type MetricsCollector =
  | {
      readonly from: 'page';
      /** From a page in Prometheus' text format; `model` is the name on the wire, for pages that speak of several. */
      read(page: MetricPage, model?: string): Reading;
    }
  | {
      readonly from: 'command';
      /** Program of this machine with its arguments. */
      readonly command: readonly string[];
      /** From what it prints. Throws a RangeError when it printed something else. */
      read(text: string): Reading;
    };

export type TraceCollectorDescriptor = Descriptor<'collector', { readonly signal: 'traces' }, { start(host: string): Promise<Collector> }>;
export type MetricsCollectorDescriptor = Descriptor<'collector', { readonly signal: 'metrics' }, MetricsCollector>;
export type CollectorDescriptor = TraceCollectorDescriptor | MetricsCollectorDescriptor;

export const defineCollector = (descriptor: Omit<TraceCollectorDescriptor, 'kind'>): TraceCollectorDescriptor => ({
  kind: 'collector',
  ...descriptor,
});
export const defineMetricsCollector = (descriptor: Omit<MetricsCollectorDescriptor, 'kind'>): MetricsCollectorDescriptor => ({
  kind: 'collector',
  ...descriptor,
});

export const isTraceCollector = (descriptor: CollectorDescriptor): descriptor is TraceCollectorDescriptor =>
  descriptor.traits.signal === 'traces';
export const isMetricsCollector = (descriptor: CollectorDescriptor): descriptor is MetricsCollectorDescriptor =>
  descriptor.traits.signal === 'metrics';
