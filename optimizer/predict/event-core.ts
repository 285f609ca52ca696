import type { ArrivalPlan } from './arrival-plan.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { createEventHeap } from './event-heap.ts';
import { type HopParts, type NumericLayout, splitHop } from './layout.ts';

/** Work made faster or slower, for "what if" questions; 1 where absent. By index of component, edge, model. */
export interface WorkScale {
  readonly components?: Float64Array;
  readonly edges?: Float64Array;
  readonly models?: Float64Array;
}

export interface EventCoreInput {
  readonly compiled: CompiledProfile;
  readonly arrivals: ArrivalPlan;
  /** Cores that all processes share; infinity for no limit. May be a fraction when other work takes part of one. */
  readonly hostCores: number;
  /** CPU of taking a request in, at the entry's process. */
  readonly ingressCpuMs: number;
  readonly seed: number;
}

export interface ModelCall {
  /** Number of the call, the same in every run with the same arrivals. */
  readonly slot: number;
  /** Row of the call in the compiled profile. */
  readonly call: number;
  readonly atMs: number;
}

/** What happened in one simulated run. Arrays are reused by the next run: read them before it. */
export interface EventRun {
  /** Requests started. */
  readonly requests: number;
  /** Per request: latency in ms; requests cut off at the end count up to there. */
  readonly latencyMs: Float64Array;
  readonly skeleton: Int32Array;
  readonly startMs: Float64Array;
  /** When the run ended. */
  readonly endMs: number;
  /** Per unit, over the whole run: event-loop time used, and time jobs waited for the loop. */
  readonly busyMs: Float64Array;
  readonly loopWaitMs: Float64Array;
  /** Per component: time turns waited for a slot. */
  readonly slotWaitMs: Float64Array;
  /** Model calls in the order they started, for an engine simulated behind them. */
  readonly modelCalls: readonly ModelCall[];
  readonly events: number;
  readonly cutOff: number;
}

// What a frame does when its timer or its CPU job ends.
const sendDone = 0;
const requestArrives = 1;
const receiveDone = 2;
const phaseCpuDone = 3;
const phaseDelayDone = 4;
const replyDone = 5;
const replyArrives = 6;
const replyReceived = 7;
const modelDone = 8;
const clientSends = 9;
const ingressDone = 10;
const trailingDone = 11;
const sessionSends = 12;

/**
 * Discrete-event simulation of requests running over a layout.
 *
 * - A replica is one event loop: its CPU jobs run one at a time, first come first served.
 * - All processes share the host's cores: with more busy loops than cores each gets an equal share (processor sharing,
 *   as the operating system's scheduler does). Kept in virtual time, so a change of the share costs O(log n).
 * - A turn takes a slot of its component for as long as it lasts, nested calls included, unless an ancestor of it holds
 *   one on the same replica.
 * - A caller picks the less loaded of two replicas drawn at random; the draw depends only on request and call, never on
 *   the layout (common random numbers).
 *
 * Memory is pooled in typed arrays: one row ("frame") per turn or model call in flight.
 */
export function createEventCore(
  input: EventCoreInput,
): (layout: NumericLayout, scale?: WorkScale, modelMs?: ReadonlyMap<number, number>) => EventRun {
  const { compiled: c, arrivals, hostCores, ingressCpuMs, seed } = input;
  const componentCount = c.components.length;
  const open = arrivals.timesMs.length;
  const closedRoom = arrivals.closed.reduce((sum, loop) => sum + 8 * loop.order.length + loop.clients, 0);
  const { sessions } = arrivals;
  const sessionTurns = sessions.reduce((sum, session) => sum + session.skeletons.length, 0);
  const room = open + closedRoom + sessionTurns;
  const latencyMs = new Float64Array(room);
  const skeletonOf = new Int32Array(room);
  const startMs = new Float64Array(room);
  /** Frames alive per request, for completion when all is quiet. */
  const alive = new Int32Array(room);
  /** A client of a closed loop, -1 for none, and -2 - s for a turn of session s. */
  const clientOf = new Int32Array(room);
  /** What to add to a row of a call to get its slot. */
  const callBase = new Float64Array(room);
  const timers = createEventHeap(4096);
  const loops = createEventHeap(64);

  let size = 4096;
  let visitOf = new Int32Array(size);
  let callOf = new Int32Array(size);
  let parentOf = new Int32Array(size);
  let requestOf = new Int32Array(size);
  let processOf = new Int32Array(size);
  let phaseOf = new Int32Array(size);
  let pendingOf = new Int32Array(size);
  let stepOf = new Int32Array(size);
  let holdsOf = new Uint8Array(size);
  let remoteOf = new Uint8Array(size);
  let nextOf = new Int32Array(size);
  let demandOf = new Float64Array(size);
  let queuedAt = new Float64Array(size);
  let free = -1;
  let used = 0;

  function grow(): void {
    size *= 2;
    const wider = <T extends Int32Array | Uint8Array | Float64Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    visitOf = wider(visitOf, new Int32Array(size));
    callOf = wider(callOf, new Int32Array(size));
    parentOf = wider(parentOf, new Int32Array(size));
    requestOf = wider(requestOf, new Int32Array(size));
    processOf = wider(processOf, new Int32Array(size));
    phaseOf = wider(phaseOf, new Int32Array(size));
    pendingOf = wider(pendingOf, new Int32Array(size));
    stepOf = wider(stepOf, new Int32Array(size));
    holdsOf = wider(holdsOf, new Uint8Array(size));
    remoteOf = wider(remoteOf, new Uint8Array(size));
    nextOf = wider(nextOf, new Int32Array(size));
    demandOf = wider(demandOf, new Float64Array(size));
    queuedAt = wider(queuedAt, new Float64Array(size));
  }

  // Turns of sessions come in another order when calls take longer; their slots are laid out beforehand so as to stay.
  const callsOf = (skeleton: number) => firstCallOf(skeleton + 1) - firstCallOf(skeleton);
  const firstCallOf = (skeleton: number) => c.phaseCall[c.visitPhase[c.skeletonVisit[skeleton] as number] as number] as number;
  let sessionSlots: Float64Array | undefined;
  if (sessions.length > 0) {
    let slot = 2 ** 31;
    sessionSlots = Float64Array.from(sessions, ({ skeletons }) => {
      const first = slot;
      for (const skeleton of skeletons) slot += callsOf(skeleton);
      return first;
    });
  }

  return (layout, scale = {}, modelMs = undefined) => {
    // Processes: replicas of unit u are firstProcess[u] … firstProcess[u] + replicas[u] - 1.
    const unitCount = layout.unitIds.length;
    const firstProcess = new Int32Array(unitCount + 1);
    for (let u = 0; u < unitCount; u++) firstProcess[u + 1] = (firstProcess[u] as number) + (layout.replicas[u] as number);
    const processCount = firstProcess[unitCount] as number;
    const unitOfProcess = new Int32Array(processCount);
    for (let u = 0; u < unitCount; u++) unitOfProcess.fill(u, firstProcess[u], firstProcess[u + 1]);
    const queueHead = new Int32Array(processCount).fill(-1);
    const queueTail = new Int32Array(processCount).fill(-1);
    const outstanding = new Int32Array(processCount);
    const slotsFree = new Int32Array(processCount * componentCount);
    for (let p = 0; p < processCount; p++) slotsFree.set(c.concurrency, p * componentCount);
    const slotHead = new Int32Array(processCount * componentCount).fill(-1);
    const slotTail = new Int32Array(processCount * componentCount).fill(-1);
    const busyMs = new Float64Array(unitCount);
    const loopWaitMs = new Float64Array(unitCount);
    const slotWaitMs = new Float64Array(componentCount);
    const modelCalls: ModelCall[] = [];
    let callsBefore = 0;
    const parts: HopParts = { requestCpuMs: 0, responseCpuMs: 0, requestDelayMs: 0, responseDelayMs: 0, trailingCpuMs: 0 };
    const nextOfLoop = arrivals.closed.map(() => 0);
    const turnOf = new Int32Array(sessions.length);
    const slotOf = sessionSlots?.slice();

    let now = 0;
    /** CPU time a running job has had since the start: grows at the share of a core each busy loop gets. */
    let virtual = 0;
    let running = 0;
    let requests = 0;
    let events = 0;
    let finished = 0;
    timers.clear();
    loops.clear();
    free = -1;
    used = 0;

    const newFrame = (visit: number, call: number, parent: number, request: number): number => {
      let frame = free;
      if (frame >= 0) free = nextOf[frame] as number;
      else {
        if (used === size) grow();
        frame = used++;
      }
      visitOf[frame] = visit;
      callOf[frame] = call;
      parentOf[frame] = parent;
      requestOf[frame] = request;
      processOf[frame] = -1;
      phaseOf[frame] = 0;
      pendingOf[frame] = 0;
      holdsOf[frame] = 0;
      remoteOf[frame] = 0;
      if (request >= 0) alive[request] = (alive[request] as number) + 1;
      return frame;
    };
    const drop = (frame: number): void => {
      nextOf[frame] = free;
      free = frame;
      const request = requestOf[frame] as number;
      if (request < 0) return;
      const left = (alive[request] as number) - 1;
      alive[request] = left;
      if (left === 0 && c.completesWhenQuiet) complete(request);
    };
    const after = (frame: number, step: number, delayMs: number): void => {
      stepOf[frame] = step;
      timers.push(now + delayMs, frame);
    };

    const submit = (frame: number, step: number, demandMs: number, process: number): void => {
      stepOf[frame] = step;
      demandOf[frame] = demandMs;
      queuedAt[frame] = now;
      nextOf[frame] = -1;
      const tail = queueTail[process] as number;
      queueTail[process] = frame;
      if (tail >= 0) {
        nextOf[tail] = frame;
        return;
      }
      queueHead[process] = frame;
      begin(process, frame);
    };
    const begin = (process: number, frame: number): void => {
      const unit = unitOfProcess[process] as number;
      loopWaitMs[unit] = (loopWaitMs[unit] as number) + now - (queuedAt[frame] as number);
      busyMs[unit] = (busyMs[unit] as number) + (demandOf[frame] as number);
      running++;
      loops.push(virtual + (demandOf[frame] as number), process);
    };
    /** Takes the finished job off its loop and starts the next one. */
    const endJob = (): number => {
      const process = loops.pop();
      const frame = queueHead[process] as number;
      running--;
      const next = nextOf[frame] as number;
      queueHead[process] = next;
      if (next < 0) queueTail[process] = -1;
      else begin(process, next);
      return frame;
    };
    const trailing = (process: number, demandMs: number): void => {
      if (process >= 0 && demandMs > 0) submit(newFrame(-1, -1, -1, -1), trailingDone, demandMs, process);
    };

    const pickProcess = (component: number, request: number, call: number): number => {
      const unit = layout.unitOf[component] as number;
      if (unit < 0) return -1;
      const first = firstProcess[unit] as number;
      const replicas = (firstProcess[unit + 1] as number) - first;
      if (replicas === 1) return first;
      const draw = mix(seed, request, call);
      const a = draw % replicas;
      const b = (a + 1 + ((draw >>> 16) % (replicas - 1))) % replicas;
      return first + ((outstanding[first + b] as number) < (outstanding[first + a] as number) ? b : a);
    };

    const startRequest = (skeleton: number, client: number): void => {
      if (requests === room) return;
      const request = requests++;
      startMs[request] = now;
      skeletonOf[request] = skeleton;
      latencyMs[request] = -1;
      alive[request] = 0;
      clientOf[request] = client;
      const firstCall = c.phaseCall[c.visitPhase[c.skeletonVisit[skeleton] as number] as number] as number;
      const lastCall = c.phaseCall[c.visitPhase[c.skeletonVisit[skeleton + 1] as number] as number] as number;
      if (client <= -2 && slotOf) {
        callBase[request] = (slotOf[-2 - client] as number) - firstCall;
        slotOf[-2 - client] = (slotOf[-2 - client] as number) + lastCall - firstCall;
      } else {
        callBase[request] = callsBefore - firstCall;
        callsBefore += lastCall - firstCall;
      }
      const root = c.skeletonVisit[skeleton] as number;
      const frame = newFrame(root, -1, -1, request);
      const process = pickProcess(c.visitComponent[root] as number, request, -1);
      processOf[frame] = process;
      if (process >= 0) outstanding[process] = (outstanding[process] as number) + 1;
      if (ingressCpuMs > 0 && process >= 0) submit(frame, ingressDone, ingressCpuMs, process);
      else acquire(frame);
    };
    const complete = (request: number): void => {
      latencyMs[request] = now - (startMs[request] as number);
      finished++;
      const client = clientOf[request] as number;
      if (client <= -2) {
        const session = sessions[-2 - client];
        const turn = turnOf[-2 - client] as number;
        if (session && turn < session.skeletons.length)
          after(newFrame(-1, -2 - client, -1, -1), sessionSends, session.thinkMs[turn] as number);
        return;
      }
      if (client < 0) return;
      const frame = newFrame(-1, client, -1, -1);
      after(frame, clientSends, arrivals.closed[client]?.thinkMs ?? 0);
    };

    const ancestorHolds = (frame: number): boolean => {
      const component = c.visitComponent[visitOf[frame] as number];
      const process = processOf[frame];
      for (let up = parentOf[frame] as number; up >= 0; up = parentOf[up] as number) {
        if (holdsOf[up] === 1 && processOf[up] === process && c.visitComponent[visitOf[up] as number] === component) return true;
      }
      return false;
    };
    const acquire = (frame: number): void => {
      const process = processOf[frame] as number;
      if (process < 0) {
        startPhase(frame);
        return;
      }
      const slot = process * componentCount + (c.visitComponent[visitOf[frame] as number] as number);
      if ((slotsFree[slot] as number) > 0) {
        slotsFree[slot] = (slotsFree[slot] as number) - 1;
        holdsOf[frame] = 1;
        startPhase(frame);
        return;
      }
      if (ancestorHolds(frame)) {
        startPhase(frame);
        return;
      }
      queuedAt[frame] = now;
      nextOf[frame] = -1;
      const tail = slotTail[slot] as number;
      slotTail[slot] = frame;
      if (tail >= 0) nextOf[tail] = frame;
      else slotHead[slot] = frame;
    };
    const release = (frame: number): void => {
      if (holdsOf[frame] === 0) return;
      holdsOf[frame] = 0;
      const component = c.visitComponent[visitOf[frame] as number] as number;
      const slot = (processOf[frame] as number) * componentCount + component;
      const next = slotHead[slot] as number;
      if (next < 0) {
        slotsFree[slot] = (slotsFree[slot] as number) + 1;
        return;
      }
      slotHead[slot] = nextOf[next] as number;
      if ((slotHead[slot] as number) < 0) slotTail[slot] = -1;
      slotWaitMs[component] = (slotWaitMs[component] as number) + now - (queuedAt[next] as number);
      holdsOf[next] = 1;
      startPhase(next);
    };

    const phaseScale = (frame: number): number => scale.components?.[c.visitComponent[visitOf[frame] as number] as number] ?? 1;
    const startPhase = (frame: number): void => {
      const visit = visitOf[frame] as number;
      const phase = (c.visitPhase[visit] as number) + (phaseOf[frame] as number);
      if (phase >= (c.visitPhase[visit + 1] as number)) {
        finish(frame);
        return;
      }
      const process = processOf[frame] as number;
      const cpu = (c.phaseCpuMs[phase] as number) * phaseScale(frame);
      if (cpu > 0 && process >= 0) submit(frame, phaseCpuDone, cpu, process);
      else afterCpu(frame, phase, process < 0);
    };
    const afterCpu = (frame: number, phase: number, cpuIsDelay: boolean): void => {
      const self = c.phaseSelfMs[phase] as number;
      const delay = (cpuIsDelay ? self : self - (c.phaseCpuMs[phase] as number)) * phaseScale(frame);
      if (delay > 0) after(frame, phaseDelayDone, delay);
      else issueCalls(frame, phase);
    };
    const issueCalls = (frame: number, phase: number): void => {
      const end = c.phaseCall[phase + 1] as number;
      // One more than there are calls, so that a call that ends at once does not end the phase under our feet.
      pendingOf[frame] = 1;
      for (let call = c.phaseCall[phase] as number; call < end; call++) {
        if (c.callBlocking[call] === 1) pendingOf[frame] = (pendingOf[frame] as number) + 1;
        startCall(frame, call);
      }
      returned(frame);
    };
    const returned = (frame: number): void => {
      const left = (pendingOf[frame] as number) - 1;
      pendingOf[frame] = left;
      if (left > 0) return;
      phaseOf[frame] = (phaseOf[frame] as number) + 1;
      startPhase(frame);
    };
    const startCall = (parent: number, call: number): void => {
      const request = requestOf[parent] as number;
      const model = c.callModel[call] as number;
      if (model >= 0) {
        const frame = newFrame(-1, call, parent, request);
        const slot = (callBase[request] as number) + call;
        modelCalls.push({ slot, call, atMs: now });
        after(frame, modelDone, (modelMs?.get(slot) ?? (c.callModelMs[call] as number)) * (scale.models?.[model] ?? 1));
        return;
      }
      const edge = c.callEdge[call] as number;
      const blocking = c.callBlocking[call] === 1;
      const hop = layout.hops[edge];
      const frame = newFrame(c.callVisit[call] as number, call, blocking ? parent : -1, request);
      if (!hop) {
        processOf[frame] = processOf[parent] as number;
        acquire(frame);
        return;
      }
      remoteOf[frame] = 1;
      const component = c.visitComponent[visitOf[frame] as number] as number;
      processOf[frame] = pickProcess(component, request, call);
      const target = processOf[frame] as number;
      if (target >= 0) outstanding[target] = (outstanding[target] as number) + 1;
      price(frame);
      if (!blocking) trailing(processOf[parent] as number, parts.trailingCpuMs);
      const origin = processOf[parent] as number;
      if (parts.requestCpuMs > 0 && origin >= 0) submit(frame, sendDone, parts.requestCpuMs, origin);
      else after(frame, requestArrives, parts.requestDelayMs);
    };
    /** Puts the parts of the frame's own hop into `parts`. */
    const price = (frame: number): void => {
      const call = callOf[frame] as number;
      const edge = c.callEdge[call] as number;
      const hop = layout.hops[edge];
      if (!hop) return;
      splitHop(hop, c.callRequestKb[call] as number, c.callResponseKb[call] as number, c.callBlocking[call] === 0, parts);
      const factor = scale.edges?.[edge] ?? 1;
      if (factor === 1) return;
      parts.requestCpuMs *= factor;
      parts.responseCpuMs *= factor;
      parts.requestDelayMs *= factor;
      parts.responseDelayMs *= factor;
      parts.trailingCpuMs *= factor;
    };
    const finish = (frame: number): void => {
      release(frame);
      const process = processOf[frame] as number;
      const parent = parentOf[frame] as number;
      const call = callOf[frame] as number;
      if (call < 0) {
        if (process >= 0) outstanding[process] = (outstanding[process] as number) - 1;
        if (!c.completesWhenQuiet) complete(requestOf[frame] as number);
        drop(frame);
        return;
      }
      if (remoteOf[frame] === 0) {
        drop(frame);
        if (parent >= 0) returned(parent);
        return;
      }
      price(frame);
      if (parent < 0) {
        if (process >= 0) outstanding[process] = (outstanding[process] as number) - 1;
        trailing(process, parts.trailingCpuMs);
        drop(frame);
        return;
      }
      if (parts.responseCpuMs > 0 && process >= 0) submit(frame, replyDone, parts.responseCpuMs, process);
      else leave(frame);
    };
    /** The reply is on the wire. */
    const leave = (frame: number): void => {
      const process = processOf[frame] as number;
      if (process >= 0) outstanding[process] = (outstanding[process] as number) - 1;
      price(frame);
      trailing(process, parts.trailingCpuMs);
      after(frame, replyArrives, parts.responseDelayMs);
    };
    const arriveBack = (frame: number): void => {
      const parent = parentOf[frame] as number;
      drop(frame);
      returned(parent);
    };

    const step = (frame: number): void => {
      switch (stepOf[frame]) {
        case sendDone:
          price(frame);
          after(frame, requestArrives, parts.requestDelayMs);
          return;
        case requestArrives: {
          price(frame);
          const process = processOf[frame] as number;
          if (parts.requestCpuMs > 0 && process >= 0) {
            submit(frame, receiveDone, parts.requestCpuMs, process);
            return;
          }
          acquire(frame);
          return;
        }
        case receiveDone:
        case ingressDone:
          acquire(frame);
          return;
        case phaseCpuDone:
          afterCpu(frame, (c.visitPhase[visitOf[frame] as number] as number) + (phaseOf[frame] as number), false);
          return;
        case phaseDelayDone:
          issueCalls(frame, (c.visitPhase[visitOf[frame] as number] as number) + (phaseOf[frame] as number));
          return;
        case replyDone:
          leave(frame);
          return;
        case replyArrives: {
          price(frame);
          const origin = processOf[parentOf[frame] as number] as number;
          trailing(origin, parts.trailingCpuMs);
          if (parts.responseCpuMs > 0 && origin >= 0) {
            submit(frame, replyReceived, parts.responseCpuMs, origin);
            return;
          }
          arriveBack(frame);
          return;
        }
        case replyReceived:
        case modelDone:
          arriveBack(frame);
          return;
        case clientSends: {
          const client = callOf[frame] as number;
          drop(frame);
          const loop = arrivals.closed[client];
          if (!loop || now > arrivals.horizonMs) return;
          const at = nextOfLoop[client] as number;
          nextOfLoop[client] = at + 1;
          startRequest(loop.order[at % loop.order.length] as number, client);
          return;
        }
        case sessionSends: {
          const session = callOf[frame] as number;
          drop(frame);
          const turn = turnOf[session] as number;
          const skeleton = sessions[session]?.skeletons[turn];
          if (skeleton === undefined || now > arrivals.horizonMs) return;
          turnOf[session] = turn + 1;
          startRequest(skeleton, -2 - session);
          return;
        }
        default:
          drop(frame);
          return;
      }
    };

    // Clients of a closed loop start spread over one think time, or all at once when they never think.
    arrivals.closed.forEach((loop, client) => {
      for (let i = 0; i < loop.clients; i++) after(newFrame(-1, client, -1, -1), clientSends, (i / loop.clients) * loop.thinkMs);
    });
    sessions.forEach(({ atMs }, session) => {
      after(newFrame(-1, session, -1, -1), sessionSends, atMs);
    });
    // Overload never drains in time; what is unfinished a while after the last arrival is cut off.
    const cutOffMs = arrivals.horizonMs * 1.5 + 60_000;
    let arrived = 0;
    for (;;) {
      const rate = running > hostCores ? hostCores / running : 1;
      const cpuAt = running > 0 ? now + Math.max(0, loops.topKey() - virtual) / rate : Number.POSITIVE_INFINITY;
      const timerAt = timers.topKey();
      const arrivalAt = arrived < open ? (arrivals.timesMs[arrived] as number) : Number.POSITIVE_INFINITY;
      const next = Math.min(cpuAt, timerAt, arrivalAt);
      if (!(next < cutOffMs)) break;
      if (cpuAt === next) virtual = loops.topKey();
      else virtual += (next - now) * rate;
      now = next;
      events++;
      if (cpuAt === next) step(endJob());
      else if (timerAt === next) step(timers.pop());
      else {
        startRequest(arrivals.skeletons[arrived] as number, -1);
        arrived++;
      }
    }
    for (let request = 0; request < requests; request++)
      if ((latencyMs[request] as number) < 0) latencyMs[request] = now - (startMs[request] as number);
    return {
      requests,
      latencyMs,
      skeleton: skeletonOf,
      startMs,
      endMs: now,
      busyMs,
      loopWaitMs,
      slotWaitMs,
      modelCalls,
      events,
      cutOff: requests - finished,
    };
  };
}

/** Integer hash of three numbers (murmur3's finalizer, Austin Appleby, public domain). */
function mix(a: number, b: number, c: number): number {
  let h = (a ^ Math.imul(b + 1, 0x9e3779b1) ^ Math.imul(c + 2, 0x85ebca77)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
