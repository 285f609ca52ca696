import type { Profile, RequestSkeleton, SkeletonCall, SkeletonVisit, Workflow } from '../../compiler/contracts/index.ts';

/** A caller→callee pair on one channel, by index of component; `channel` decides what is spoken on it. */
export interface CompiledEdge {
  readonly from: number;
  readonly to: number;
  readonly channel: string;
  /** Mean wrapping of state per call that leaves its process, both sides; it counts as computing. Absent where there is none. */
  readonly wrapMs?: number;
  /**
   * A step of a hub's graph that runs in the same call as the step before, `from` the same hub, where both are in one other
   * unit (see `Hub.segments`): the component of that step, and the share of the edge's bytes that then still travel, the
   * reply. Absent for any other call.
   */
  readonly follows?: { readonly component: number; readonly replyShare: number };
}

/**
 * The request skeletons of a profile in flat arrays, so that predictors can replay thousands of them per millisecond.
 * Visits are in pre-order: the visits of a skeleton are consecutive and a callee always comes after its caller.
 */
export interface CompiledProfile {
  readonly components: readonly string[];
  readonly classes: readonly string[];
  readonly models: readonly string[];
  readonly edges: readonly CompiledEdge[];
  /** 1 for components that are never deployed by us. */
  readonly external: Uint8Array;
  /** Turns one replica handles at a time, per component. */
  readonly concurrency: Int32Array;
  /** Component that takes the requests, or -1 when the profile is empty. */
  readonly entry: number;
  /** True when a request is complete only once all its one-way work is done (topic entry). */
  readonly completesWhenQuiet: boolean;
  readonly visitComponent: Int32Array;
  /** Phases of visit v: `visitPhase[v]` up to, not including, `visitPhase[v + 1]`. */
  readonly visitPhase: Int32Array;
  readonly phaseSelfMs: Float64Array;
  readonly phaseCpuMs: Float64Array;
  readonly phaseCall: Int32Array;
  /** Index into `edges`, or -1 for a model call. */
  readonly callEdge: Int32Array;
  /** Index into `models`, or -1. */
  readonly callModel: Int32Array;
  /** The visit it starts, or -1 for a model call. */
  readonly callVisit: Int32Array;
  /** 0 for send and publish: the caller does not wait. */
  readonly callBlocking: Uint8Array;
  readonly callRequestKb: Float64Array;
  readonly callResponseKb: Float64Array;
  /** Measured duration of a model call. */
  readonly callModelMs: Float64Array;
  readonly callTokensIn: Int32Array;
  readonly callTokensCached: Int32Array;
  readonly callTokensOut: Int32Array;
  /** Growing prefixes of a model call's prompt, where the traces say them. */
  readonly callPrefix: readonly (ModelCallPrefix | undefined)[];
  /** Component that makes the call. */
  readonly callCaller: Int32Array;
  /** Visits of skeleton s: `skeletonVisit[s]` (its root) up to, not including, `skeletonVisit[s + 1]`. */
  readonly skeletonVisit: Int32Array;
  readonly skeletonClass: Int32Array;
  readonly skeletonMeasuredMs: Float64Array;
  /** The model call whose tokens a streamed answer begins with, or -1 where none is known. */
  readonly skeletonSpeaker: Int32Array;
}

export type ModelCallPrefix = NonNullable<Extract<SkeletonCall, { kind: 'model' }>['prefix']>;

/** Flattens the skeletons; edges are the workflow's, with any traced pair it does not know added. */
export function compileProfile(profile: Pick<Profile, 'skeletons'>, workflow: Workflow): CompiledProfile {
  const placeable = [...workflow.agents, ...workflow.toolServers];
  const components = placeable.map((component) => component.name).sort();
  const index = new Map(components.map((name, i) => [name, i]));
  const componentIndex = (name: string) => {
    const found = index.get(name);
    if (found !== undefined) return found;
    index.set(name, components.length);
    return components.push(name) - 1;
  };
  const classes: string[] = [];
  const models: string[] = [];
  const edges: (CompiledEdge & { sizeKb: number; replyKb: number; wrappedMs: number; calls: number })[] = [];
  const edgeIndex = new Map<string, number>();
  const channelOf = channelFinder(workflow);
  const indexIn = (list: string[], name: string) => (list.includes(name) ? list.indexOf(name) : list.push(name) - 1);

  const visits: number[] = [];
  const visitPhase: number[] = [];
  const phases: [self: number, cpu: number][] = [];
  const phaseCall: number[] = [];
  const calls: {
    edge: number;
    model: number;
    visit: number;
    blocking: number;
    requestKb: number;
    responseKb: number;
    modelMs: number;
    tokens: readonly [tokensIn: number, cached: number, out: number];
    caller: number;
    streams?: boolean;
    prefix?: ModelCallPrefix;
  }[] = [];
  const skeletonVisit: number[] = [];

  const addEdge = (from: string, to: string, call: Extract<SkeletonCall, { kind: 'component' }>, after: string | undefined) => {
    const channel = channelOf(from, to, call.pattern);
    const key = `${channel}\n${from}\n${to}\n${after ?? ''}`;
    const known = edgeIndex.get(key) ?? edges.length;
    if (known === edges.length) {
      const follows = after === undefined ? {} : { follows: { component: componentIndex(after), replyShare: 0 } };
      edges.push({
        from: componentIndex(from),
        to: componentIndex(to),
        channel,
        ...follows,
        sizeKb: 0,
        replyKb: 0,
        wrappedMs: 0,
        calls: 0,
      });
      edgeIndex.set(key, known);
    }
    const edge = edges[known];
    if (edge) {
      edge.sizeKb += (call.requestBytes + call.responseBytes) / 1024;
      edge.replyKb += call.responseBytes / 1024;
      edge.wrappedMs += call.wrapMs ?? 0;
      edge.calls += 1;
    }
    return known;
  };
  const maySegment = segmentFinder(workflow);
  // Calls and phases of one visit must be consecutive, so its callees are flattened after all of its own rows are in.
  const addVisit = (visit: SkeletonVisit): number => {
    const id = visits.push(componentIndex(visit.component)) - 1;
    visitPhase.push(phases.length);
    const below: { call: number; visit: SkeletonVisit }[] = [];
    let before: string | undefined;
    for (const phase of visit.phases) {
      const only = alone(phase);
      const after = before !== undefined && only !== undefined && maySegment(visit.component, before, only) ? before : undefined;
      if (phase.calls.length > 0) before = only;
      const cpuMs = Math.max(0, phase.cpuMs);
      phases.push([Math.max(cpuMs, phase.selfMs), cpuMs]);
      phaseCall.push(calls.length);
      for (const call of phase.calls) {
        if (call.kind === 'model') {
          const model = indexIn(models, call.model);
          calls.push({
            edge: -1,
            model,
            visit: -1,
            blocking: 1,
            requestKb: 0,
            responseKb: 0,
            modelMs: Math.max(0, call.measuredMs),
            tokens: [call.tokensIn, call.tokensCached, call.tokensOut],
            caller: visits[id] as number,
            ...(call.prefix === undefined ? {} : { prefix: call.prefix }),
          });
          continue;
        }
        const blocking = call.pattern === 'request' || call.pattern === 'stream' ? 1 : 0;
        const row = {
          edge: addEdge(visit.component, call.visit.component, call, after),
          model: -1,
          visit: -1,
          blocking,
          requestKb: call.requestBytes / 1024,
          responseKb: blocking ? call.responseBytes / 1024 : 0,
          modelMs: 0,
          tokens: [0, 0, 0] as const,
          caller: visits[id] as number,
          streams: call.pattern === 'stream',
        };
        below.push({ call: calls.push(row) - 1, visit: call.visit });
      }
    }
    for (const { call, visit: callee } of below) {
      const row = calls[call];
      const child = addVisit(callee);
      if (row) row.visit = child;
    }
    return id;
  };
  for (const skeleton of profile.skeletons) skeletonVisit.push(addVisit(skeleton.root));
  skeletonVisit.push(visits.length);
  visitPhase.push(phases.length);
  phaseCall.push(calls.length);

  const component = new Map(placeable.map((entry) => [entry.name, entry]));
  const first = profile.skeletons[0];
  return {
    components,
    classes: distinctClasses(profile.skeletons, classes),
    models,
    edges: edges.map(({ sizeKb, replyKb, wrappedMs, calls: n, follows, ...edge }) => ({
      ...edge,
      ...(wrappedMs > 0 ? { wrapMs: wrappedMs / n } : {}),
      ...(follows === undefined ? {} : { follows: { ...follows, replyShare: sizeKb > 0 ? replyKb / sizeKb : 0 } }),
    })),
    external: Uint8Array.from(components, (name) => (component.get(name)?.mobility === 'external' ? 1 : 0)),
    concurrency: Int32Array.from(components, (name) => component.get(name)?.concurrency ?? 0x7fffffff),
    entry: first ? componentIndex(first.root.component) : -1,
    completesWhenQuiet: workflow.entry.kind === 'topic',
    visitComponent: Int32Array.from(visits),
    visitPhase: Int32Array.from(visitPhase),
    phaseSelfMs: Float64Array.from(phases, (phase) => phase[0]),
    phaseCpuMs: Float64Array.from(phases, (phase) => phase[1]),
    phaseCall: Int32Array.from(phaseCall),
    callEdge: Int32Array.from(calls, (call) => call.edge),
    callModel: Int32Array.from(calls, (call) => call.model),
    callVisit: Int32Array.from(calls, (call) => call.visit),
    callBlocking: Uint8Array.from(calls, (call) => call.blocking),
    callRequestKb: Float64Array.from(calls, (call) => call.requestKb),
    callResponseKb: Float64Array.from(calls, (call) => call.responseKb),
    callModelMs: Float64Array.from(calls, (call) => call.modelMs),
    callTokensIn: Int32Array.from(calls, (call) => call.tokens[0]),
    callTokensCached: Int32Array.from(calls, (call) => call.tokens[1]),
    callTokensOut: Int32Array.from(calls, (call) => call.tokens[2]),
    callPrefix: calls.map((call) => call.prefix),
    callCaller: Int32Array.from(calls, (call) => call.caller),
    skeletonVisit: Int32Array.from(skeletonVisit),
    skeletonClass: Int32Array.from(profile.skeletons, (skeleton) => classes.indexOf(skeleton.requestClass)),
    skeletonMeasuredMs: Float64Array.from(profile.skeletons, (skeleton) => skeleton.measuredMs),
    skeletonSpeaker: Int32Array.from(skeletonVisit.slice(0, -1), speaker),
  };

  /**
   * An agent that streams passes on the tokens of its last model call, or those of the last agent it asked for a stream:
   * what came before was thinking, tools and calls of others.
   */
  function speaker(visit: number): number {
    for (let phase = (visitPhase[visit + 1] as number) - 1; phase >= (visitPhase[visit] as number); phase--) {
      for (let call = (phaseCall[phase + 1] as number) - 1; call >= (phaseCall[phase] as number); call--) {
        const row = calls[call];
        if (row !== undefined && row.model >= 0) return call;
        if (row?.streams) return speaker(row.visit);
      }
    }
    return -1;
  }
}

function distinctClasses(skeletons: readonly RequestSkeleton[], into: string[]): readonly string[] {
  for (const { requestClass } of skeletons) if (!into.includes(requestClass)) into.push(requestClass);
  return into;
}

/** Which channel a traced call went over. A pair may be joined by a topic and by a direct channel at once. */
function channelFinder(workflow: Workflow): (from: string, to: string, pattern: string) => string {
  return (from, to, pattern) => {
    const joining = workflow.channels.filter((c) => c.kind !== 'model' && c.from.includes(from) && c.to.includes(to));
    const topic = joining.find((channel) => channel.kind === 'topic');
    const direct = joining.find((channel) => channel.kind !== 'topic');
    return (pattern === 'publish' ? (topic ?? direct) : (direct ?? topic))?.id ?? `${from}->${to}`;
  };
}

/** The component a phase calls, when it waits for one and nothing else. */
function alone({ calls }: SkeletonVisit['phases'][number]): string | undefined {
  const [call] = calls;
  return calls.length === 1 && call?.kind === 'component' && call.pattern === 'request' ? call.visit.component : undefined;
}

/** Whether two steps of a hub's graph run in one call where they share a unit. */
function segmentFinder(workflow: Workflow): (hub: string, from: string, to: string) => boolean {
  const pairs = new Set((workflow.hubs ?? []).flatMap(({ agent, segments }) => segments.map(([from, to]) => `${agent}\n${from}\n${to}`)));
  return (hub, from, to) => pairs.has(`${hub}\n${from}\n${to}`);
}
