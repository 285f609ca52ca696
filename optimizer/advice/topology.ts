import type { TraceDigest } from '../../compiler/contracts/index.ts';
import type { InferredWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import type { AnalysisTopology } from '../../reports/analysis.ts';

const mobilities = { movable: 'movable', replicasOnly: 'replicas only', external: 'external' } as const;
const order = ['agent', 'service', 'tool server', 'tool', 'model', 'database', 'queue', 'outside', 'human'];

/** Components and calls as seen, all kinds of them. */
export function topologyOf(digest: TraceDigest, { components }: InferredWorkflow): AnalysisTopology {
  const silent = new Set(digest.components.filter(({ services }) => services.length === 0).map(({ name }) => name));
  return {
    components: [...components]
      .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.name < b.name ? -1 : 1))
      .map((component) => ({
        name: component.name,
        kind: component.kind,
        holds: component.holds.filter((name) => name !== component.name),
        services: component.services,
        instances: component.instances,
        mobility: mobilities[component.mobility],
        reason: component.reason,
      })),
    edges: digest.edges.map((edge) => ({
      from: edge.from,
      to: edge.to,
      protocol: edge.sameInstanceShare === 1 && !silent.has(edge.to) ? 'in-process' : (edge.protocol ?? 'unknown'),
      async: edge.kind === 'async',
      callsPerRequest: edge.callsPerRequest,
      errorShare: edge.calls > 0 ? edge.errors / edge.calls : 0,
      bytesPerRequest: edge.requestBytes === null ? null : (edge.requestBytes + (edge.responseBytes ?? 0)) * edge.callsPerRequest,
      latencyMsP50: edge.latency.p50Ms,
      hopMsP50: edge.gap?.p50Ms ?? null,
    })),
  };
}
