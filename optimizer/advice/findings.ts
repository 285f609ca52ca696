import { attr, type TraceDigest, type TracedModelUse } from '../../compiler/contracts/index.ts';
import { amount, calleeOf, type TraceNode } from '../../profiler/analyze/node.ts';
import type { SampledRequest } from '../../profiler/analyze/traced-requests.ts';
import { entryVisits, type Visit, type VisitCall, visitsIn } from '../../profiler/analyze/visits.ts';
import { median } from '../../profiler/stats/quantiles.ts';
import type { Finding } from '../../reports/analysis.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import { bytes, count, listed, ms, percent, times, usd } from './words.ts';

/** Below the margin a finding is not worth telling either. */
const tellShare = 0.03;
const mostWork = 3;
/** So many calls of one edge in one turn are told as a fan-out that one call could carry. */
const chattyCalls = 8;

/** What costs time, money or answers and no layout mends; by the share of latency or tokens, largest first. */
export function findingsOf(digest: TraceDigest, sampled: readonly SampledRequest[], pricing: Pick<PricesConfig, 'models'>): Finding[] {
  const findings = [
    ...modelCalls(digest),
    ...repeatedContext(digest, pricing),
    ...serialCalls(sampled, new Set(digest.components.filter(({ kind }) => kind === 'human').map(({ name }) => name))),
    ...otherWork(digest),
    ...failures(digest),
    ...retries(sampled),
    ...chatty(digest),
    ...people(digest),
  ];
  const weight = (finding: Finding) => Math.max(finding.latencyShare ?? 0, finding.tokensShare ?? 0);
  return findings.sort((a, b) => weight(b) - weight(a) || (a.title < b.title ? -1 : 1));
}

const requestsOf = (digest: TraceDigest) =>
  Math.max(
    1,
    digest.roots.reduce((sum, root) => sum + root.requests, 0),
  );

/** Where most of the time of requests goes when it goes to models, and what kind of call it is. */
function modelCalls(digest: TraceDigest): Finding[] {
  const shares = new Map(digest.criticalPath.components.map(({ component, share }) => [component, share]));
  const spent = (use: TracedModelUse) => use.latency.meanMs * use.calls;
  return digest.modelUse.flatMap((use) => {
    const together = digest.modelUse.filter(({ component }) => component === use.component).reduce((sum, each) => sum + spent(each), 0);
    const latencyShare = together > 0 ? ((shares.get(use.component) ?? 0) * spent(use)) / together : 0;
    if (latencyShare < tellShare) return [];
    const out = use.tokens && use.calls > 0 ? `, ${count(use.tokens.out / use.calls)} tokens out each` : '';
    const first = use.firstChunk ? `, first token after ${ms(use.firstChunk.p50Ms)}` : '';
    return [
      {
        kind: 'slow-model-call' as const,
        title: `${use.agent} waits for ${use.model}`,
        detail:
          `${times(use.callsPerRequest)} per request of ${ms(use.latency.p50Ms)} (p95 ${ms(use.latency.p95Ms)})${first}${out}. ` +
          'No layout makes the model answer sooner: fewer calls, shorter answers, another model or streaming would.',
        latencyShare,
        tokensShare: null,
      },
    ];
  });
}

function repeatedContext(digest: TraceDigest, pricing: Pick<PricesConfig, 'models'>): Finding[] {
  const all = digest.modelUse.reduce((sum, { tokens }) => sum + (tokens?.in ?? 0), 0);
  const requests = requestsOf(digest);
  return digest.modelUse.flatMap(({ agent, model, repeated, tokens }) => {
    if (!repeated || all === 0 || repeated.repeatedTokens / all < tellShare) return [];
    const price = pricing.models[model];
    const cached = tokens?.cached ?? null;
    const uncached = cached === null ? repeated.repeatedTokens : Math.max(0, repeated.repeatedTokens - cached);
    const saved =
      price?.cachedPerMillionUsd === undefined
        ? ''
        : ` Served from the provider’s cache it would save ${usd(((uncached * (price.inputPerMillionUsd - price.cachedPerMillionUsd)) / 1e6 / requests) * 1000)} per 1000 requests.`;
    const told =
      cached === null ? '' : ` ${percent(tokens && tokens.in > 0 ? cached / tokens.in : 0)} of its input came from the provider’s cache.`;
    return [
      {
        kind: 'repeated-context' as const,
        title: `${agent} sends ${percent(repeated.share)} of its input again`,
        detail:
          `Of ${count(repeated.tokensIn / requests)} tokens to ${model} per request ${count(repeated.repeatedTokens / requests)} were in an earlier call of the same conversation ` +
          `(${repeated.basis === 'messages' ? 'compared message by message' : 'a lower estimate from token counts'}).${told}${saved} Prompt caching or a shorter history mends it, a layout does not.`,
        latencyShare: null,
        tokensShare: repeated.repeatedTokens / all,
      },
    ];
  });
}

/** Calls one after another with no model call between: they could run at once if none needs what another returned. */
function serialCalls(sampled: readonly SampledRequest[], people: ReadonlySet<string>): Finding[] {
  const savings = new Map<string, { readonly shares: number[]; readonly ms: number[]; readonly callees: Set<string> }>();
  for (const { trace, request } of sampled) {
    const perComponent = new Map<string, { ms: number; callees: Set<string> }>();
    for (const visit of entryVisits(trace).flatMap((entry) => [...visitsIn(entry)])) {
      for (const run of serialRuns(visit, people)) {
        const lengths = run.map(({ wait }) => wait.endMs - wait.startMs);
        const saved = lengths.reduce((sum, length) => sum + length, 0) - Math.max(...lengths);
        const entry = perComponent.get(visit.component) ?? { ms: 0, callees: new Set<string>() };
        perComponent.set(visit.component, entry);
        entry.ms += saved;
        for (const call of run) entry.callees.add(calleeOf(call.node));
      }
    }
    for (const [component, { ms: saved, callees }] of perComponent) {
      const entry = savings.get(component) ?? { shares: [], ms: [], callees: new Set<string>() };
      savings.set(component, entry);
      entry.shares.push(request.measuredMs > 0 ? saved / request.measuredMs : 0);
      entry.ms.push(saved);
      for (const callee of callees) entry.callees.add(callee);
    }
  }
  return [...savings].flatMap(([component, { shares, ms: saved, callees }]) => {
    // Requests without such a run save nothing.
    const all = [...shares, ...Array.from({ length: sampled.length - shares.length }, () => 0)];
    const latencyShare = Math.min(1, median(all) ?? 0);
    if (latencyShare < tellShare) return [];
    const names = [...callees].sort();
    return [
      {
        kind: 'serial-calls' as const,
        title: `${component} calls ${listed(names)} one after another`,
        detail: `At once they would take up to ${ms(median(saved))} less per request, if none needs what another returns.`,
        latencyShare,
        tokensShare: null,
      },
    ];
  });
}

/** Runs of at least two blocking calls to different components, each begun after the one before had ended, with no model call and no person between. */
function serialRuns(visit: Visit, people: ReadonlySet<string>): VisitCall[][] {
  const runs: VisitCall[][] = [];
  let run: VisitCall[] = [];
  const close = () => {
    if (new Set(run.map(({ node }) => calleeOf(node))).size > 1) runs.push(run);
    run = [];
  };
  for (const call of visit.calls) {
    const last = run.at(-1);
    const serial = call.kind === 'component' && call.blocking && call.node.span.ok && !people.has(calleeOf(call.node));
    if (!serial) close();
    else if (last && call.wait.startMs < last.wait.endMs) close();
    else run.push(call);
  }
  close();
  return runs;
}

const kinds = {
  tool: 'slow-tool',
  database: 'external',
  outside: 'external',
  queue: 'external',
  agent: 'own-work',
  service: 'own-work',
} as const;

/** Tools, databases, strangers and own work that requests wait for; the largest, since their sum is all there is. */
function otherWork(digest: TraceDigest): Finding[] {
  const byName = new Map(digest.components.map((component) => [component.name, component]));
  const found = digest.criticalPath.components.flatMap(({ component: name, share, meanMs }) => {
    const component = byName.get(name);
    const kind = component && component.kind in kinds ? kinds[component.kind as keyof typeof kinds] : undefined;
    if (!component || !kind || share < tellShare) return [];
    const what =
      kind === 'own-work'
        ? `Its own code and everything it waits for without a span`
        : kind === 'slow-tool'
          ? 'The tool itself'
          : `${component.kind === 'outside' ? 'Somebody else’s service' : `A ${component.kind}`}`;
    return [
      {
        kind,
        title: `${name} itself takes ${ms(meanMs)} of a request`,
        detail: `${what}: ${ms(component.self.p50Ms)} per call (p95 ${ms(component.self.p95Ms)}), ${times(component.calls / requestsOf(digest))} per request. It takes as long wherever it runs.`,
        latencyShare: share,
        tokensShare: null,
      },
    ];
  });
  return found.sort((a, b) => (b.latencyShare ?? 0) - (a.latencyShare ?? 0)).slice(0, mostWork);
}

const tellErrors = 0.01;
function failures({ edges }: TraceDigest): Finding[] {
  return edges
    .filter(({ calls, errors }) => calls > 0 && errors / calls >= tellErrors)
    .sort((a, b) => b.errors - a.errors)
    .slice(0, 3)
    .map(({ from, to, calls, errors }) => ({
      kind: 'errors' as const,
      title: `${percent(errors / calls, 1)} of the calls from ${from} to ${to} fail`,
      detail: `${errors} of ${calls}. What a failed call cost is spent in every layout.`,
      latencyShare: null,
      tokensShare: null,
    }));
}

/** A failed call followed by one to the same component in the same turn, or an attempt that says it is not the first. */
function retries(sampled: readonly SampledRequest[]): Finding[] {
  const again = new Map<string, { calls: number; lostMs: number[] }>();
  for (const { trace } of sampled) {
    for (const node of trace.nodes) {
      const lost = node.role === 'call' || node.role === 'chat' ? failedBefore(node) : null;
      if (lost === null) continue;
      const entry = again.get(calleeOf(node)) ?? { calls: 0, lostMs: [] };
      again.set(calleeOf(node), entry);
      entry.calls++;
      entry.lostMs.push(lost);
    }
  }
  return [...again]
    .filter(([, { calls }]) => calls / Math.max(1, sampled.length) >= tellErrors)
    .map(([callee, { calls, lostMs }]) => ({
      kind: 'retries' as const,
      title: `Calls to ${callee} are repeated`,
      detail: `${calls} of them in ${sampled.length} requests, after attempts that had taken ${ms(median(lostMs))} each.`,
      latencyShare: null,
      tokensShare: null,
    }));
}

function failedBefore(node: TraceNode): number | null {
  if (amount(node, attr.attempt) > 1) return 0;
  const before = node.parent?.children.filter(
    (other) => other !== node && other.endMs <= node.startMs && calleeOf(other) === calleeOf(node),
  );
  const failed = before?.findLast((other) => !other.span.ok);
  return failed ? failed.span.durationMs : null;
}

function chatty({ edges, components }: TraceDigest): Finding[] {
  const turns = new Map(components.map(({ name, calls }) => [name, calls]));
  return edges.flatMap(({ from, to, calls, requestBytes, responseBytes, latency }) => {
    const perTurn = calls / Math.max(1, turns.get(from) ?? 1);
    if (perTurn < chattyCalls) return [];
    const size = requestBytes === null ? '' : `, ${bytes(requestBytes + (responseBytes ?? 0))} each`;
    return [
      {
        kind: 'chatty' as const,
        title: `${from} calls ${to} ${count(perTurn)} times per turn`,
        detail: `${ms(latency.p50Ms)} each${size}. One call with a list would take fewer hops; joining them in one process only makes each cheaper.`,
        latencyShare: null,
        tokensShare: null,
      },
    ];
  });
}

function people({ roots }: TraceDigest): Finding[] {
  return roots.flatMap(({ name, humanWait }) =>
    humanWait === null
      ? []
      : [
          {
            kind: 'human' as const,
            title: `${name} waits for a person`,
            detail: `${ms(humanWait.p50Ms)} (p95 ${ms(humanWait.p95Ms)}), kept out of all latencies here.`,
            latencyShare: null,
            tokensShare: null,
          },
        ],
  );
}
