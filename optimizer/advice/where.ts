import type { TraceDigest } from '../../compiler/contracts/index.ts';
import type { InferredWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import type { AnalysisPathKind, AnalysisWhere, MoneyLine } from '../../reports/analysis.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';

const pathKindOf: { readonly [kind: string]: AnalysisPathKind } = {
  model: 'model',
  tool: 'tool',
  database: 'external',
  queue: 'external',
  outside: 'external',
};

/** Where the time, tokens and money of a request go, from all traces of the digest. `cpuShare`: of own time without a CPU figure, at most. */
export function whereItGoes(
  digest: TraceDigest,
  { components }: InferredWorkflow,
  money: readonly MoneyLine[],
  pricing: Pick<PricesConfig, 'models'>,
  cpuShare: number,
): AnalysisWhere {
  const requests = Math.max(
    1,
    digest.roots.reduce((sum, root) => sum + root.requests, 0),
  );
  const kindOf = new Map(digest.components.map(({ name, kind }) => [name, kind]));
  const critical = new Map(digest.criticalPath.components.map(({ component, meanMs }) => [component, meanMs]));
  const shares: { [kind in AnalysisPathKind]: number } = { working: 0, tool: 0, model: 0, external: 0, communication: 0 };
  for (const { component, share } of digest.criticalPath.components) shares[pathKindOf[kindOf.get(component) ?? ''] ?? 'working'] += share;
  for (const { share } of digest.criticalPath.edges) shares.communication += share;
  const external = new Set(components.filter(({ mobility }) => mobility === 'external').flatMap(({ holds }) => holds));
  return {
    classes: [...digest.roots]
      .sort((a, b) => b.requests - a.requests)
      .map(({ name, requests: n, errors, latency }) => ({
        name,
        share: n / requests,
        requests: n,
        errorShare: n > 0 ? errors / n : 0,
        p50Ms: latency.p50Ms,
        p95Ms: latency.p95Ms,
      })),
    criticalPath: shares,
    commonPaths: digest.criticalPath.commonPaths.map(({ path, requests: n }) => ({
      path,
      share: n / Math.max(1, digest.criticalPath.requests),
    })),
    humanMsPerRequest: digest.roots.reduce((sum, { humanWait }) => sum + (humanWait?.totalMs ?? 0), 0) / requests,
    money,
    components: digest.components
      .filter(({ kind }) => kind !== 'human' && kind !== 'model')
      .map((component) => {
        const selfMs = component.self.totalMs / requests;
        const known = component.cpuMsPerCall;
        return {
          name: component.name,
          kind: component.kind,
          visitsPerRequest: component.calls / requests,
          selfMsPerRequest: selfMs,
          criticalMsPerRequest: critical.get(component.name) ?? 0,
          cpuMsPerRequest: external.has(component.name)
            ? null
            : known === null
              ? { low: 0, high: selfMs * cpuShare }
              : { low: (known * component.calls) / requests, high: (known * component.calls) / requests },
          errorShare: component.calls > 0 ? component.errors / component.calls : 0,
        };
      })
      .sort(
        (a, b) => b.criticalMsPerRequest - a.criticalMsPerRequest || b.selfMsPerRequest - a.selfMsPerRequest || (a.name < b.name ? -1 : 1),
      ),
    models: digest.modelUse
      .map((use) => {
        const price = pricing.models[use.model];
        const { tokens } = use;
        const cached = Math.min(tokens?.in ?? 0, tokens?.cached ?? 0);
        const counted =
          price && tokens
            ? ((tokens.in - cached) * price.inputPerMillionUsd +
                cached * (price.cachedPerMillionUsd ?? price.inputPerMillionUsd) +
                tokens.out * price.outputPerMillionUsd) /
              1e6
            : use.costUsd;
        return {
          model: use.model,
          agent: use.agent,
          callsPerRequest: use.callsPerRequest,
          tokensInPerRequest: tokens === null ? null : tokens.in / requests,
          tokensCachedPerRequest: tokens === null || tokens.cached === null ? null : tokens.cached / requests,
          tokensOutPerRequest: tokens === null ? null : tokens.out / requests,
          latencyMsP50: use.latency.p50Ms,
          msPerRequest: (use.latency.meanMs * use.calls) / requests,
          repeatedShare: use.repeated?.share ?? null,
          usdPer1000: counted === null ? null : (counted / requests) * 1000,
        };
      })
      .sort((a, b) => b.msPerRequest - a.msPerRequest || (a.agent < b.agent ? -1 : 1)),
  };
}
