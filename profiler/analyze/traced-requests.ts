import { attr, type SkeletonVisit, type TraceDigest } from '../../compiler/contracts/index.ts';
import { visitCosts } from './cpu.ts';
import type { InferredWorkflow } from './infer-workflow.ts';
import { amount } from './node.ts';
import { skeletonsPerClass } from './profile.ts';
import { evenly, visitSkeleton } from './skeleton.ts';
import type { TracedCall, TracedPhase, TracedRequest, TracedVisit } from './traced-request.ts';
import { buildTraces, type RequestTrace } from './tree.ts';
import { entryVisits, type Visit, type VisitCall } from './visits.ts';

/** A sampled request with the trace it came from. */
export interface SampledRequest {
  readonly trace: RequestTrace;
  readonly request: TracedRequest;
}

/**
 * The sampled requests of a digest that answered well, by the components of the draft. CPU is what spans say of it, else 0:
 * whoever reads it decides what to assume (see `withCpuShare`). Waits for people and what came of them are left out.
 */
export function tracedRequests(digest: TraceDigest, { holderOf }: Pick<InferredWorkflow, 'holderOf'>): SampledRequest[] {
  const people = new Set(digest.components.filter(({ kind }) => kind === 'human').map(({ name }) => name));
  const cpuMs = new Map(digest.components.map((component) => [component.name, component.cpuMsPerCall]));
  const whole = buildTraces(digest.sample.spans).requests.filter((trace) => trace.unbroken && trace.root.span.ok);
  const classes = [...new Set(whole.map(({ requestClass }) => requestClass))].sort();
  return classes
    .flatMap((name) =>
      evenly(
        whole.filter(({ requestClass }) => requestClass === name),
        skeletonsPerClass,
      ),
    )
    .flatMap((trace) => {
      const request = tracedRequest(trace, { holderOf, people, cpuMs });
      return request ? [{ trace, request }] : [];
    });
}

interface Names {
  readonly holderOf: { readonly [traced: string]: string };
  readonly people: ReadonlySet<string>;
  readonly cpuMs: ReadonlyMap<string, number | null>;
}

function tracedRequest(trace: RequestTrace, names: Names): TracedRequest | null {
  const entries = entryVisits(trace).filter((visit) => visit.turn || visit.calls.length > 0);
  const [first, ...others] = entries;
  if (!first) return null;
  const costs = visitCosts(entries);
  const ownTime = (visit: Visit) => {
    const cost = costs.get(visit);
    const selfMs = cost?.wallMs ?? 0;
    return { selfMs, cpuMs: Math.min(selfMs, cost?.cpuMs ?? names.cpuMs.get(visit.component) ?? 0) };
  };
  const root = traced(visitSkeleton(first, ownTime), first, names);
  const more = others.map((visit) => componentCall(visitSkeleton(visit, ownTime), visit, names));
  const phases = more.length === 0 ? root.phases : [{ selfMs: 0, cpuMs: 0, calls: more }, ...root.phases];
  const request = { requestClass: trace.requestClass, root: { ...root, phases } };
  return { ...request, measuredMs: Math.max(0, trace.root.span.durationMs - humanMs(first, names)) };
}

/** The skeleton of a visit with names of the draft, and with what its hops took. */
function traced(skeleton: SkeletonVisit, visit: Visit, names: Names): TracedVisit {
  let next = 0;
  const phases: TracedPhase[] = skeleton.phases.map((phase) => ({
    selfMs: phase.selfMs,
    cpuMs: phase.cpuMs,
    calls: phase.calls.flatMap((call): TracedCall[] => {
      // Calls stand in the skeleton in the order of the visit.
      const source: VisitCall | undefined = visit.calls[next++];
      if (call.kind === 'model' || source?.kind !== 'component') return call.kind === 'model' ? [call] : [];
      return names.people.has(source.visit.component) ? [] : [componentCall(call.visit, source.visit, names)];
    }),
  }));
  return { component: names.holderOf[visit.component] ?? visit.component, phases };
}

function componentCall(skeleton: SkeletonVisit, visit: Visit, names: Names): TracedCall {
  const callee = traced(skeleton, visit, names);
  const insideMs = visit.endMs - visit.startMs;
  const beyondMs = Math.max(0, visit.call.endMs - visit.call.startMs - insideMs);
  const waitedMs = visit.call.span.kind === 'producer' ? 0 : beyondMs;
  // A wait for a slot, or the little a call within a process takes, is the callee's in every layout.
  const ownMs = visit.serve ? Math.min(waitedMs, visit.queueMs) : waitedMs;
  const [opening = { selfMs: 0, cpuMs: 0, calls: [] }, ...rest] = callee.phases;
  return {
    kind: 'component',
    pattern: visit.call.span.kind === 'producer' ? 'send' : 'request',
    requestBytes: amount(visit.call, attr.requestBytes),
    responseBytes: amount(visit.call, attr.responseBytes),
    hopMs: waitedMs - ownMs,
    visit: ownMs > 0 ? { ...callee, phases: [{ ...opening, selfMs: opening.selfMs + ownMs }, ...rest] } : callee,
  };
}

function humanMs(visit: Visit, names: Names): number {
  return visit.calls.reduce((sum, call) => {
    if (call.kind === 'model') return sum;
    return sum + (names.people.has(call.visit.component) ? call.wait.endMs - call.wait.startMs : humanMs(call.visit, names));
  }, 0);
}

/** The same request where of own time without a CPU figure this share is on the event loop; of components in `only`. */
export function withCpuShare(request: TracedRequest, share: number, only: ReadonlySet<string>): TracedRequest {
  const visit = (each: TracedVisit): TracedVisit => ({
    component: each.component,
    phases: each.phases.map((phase) => ({
      selfMs: phase.selfMs,
      cpuMs: phase.cpuMs > 0 || !only.has(each.component) ? phase.cpuMs : phase.selfMs * share,
      calls: phase.calls.map((call) => (call.kind === 'model' ? call : { ...call, visit: visit(call.visit) })),
    })),
  });
  return { ...request, root: visit(request.root) };
}
