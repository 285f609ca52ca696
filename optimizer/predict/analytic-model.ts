import type { CompiledProfile } from './compiled-profile.ts';
import { type ClassDemand, demandOf } from './demand.ts';
import type { NumericLayout } from './layout.ts';
import { waitMs } from './queueing.ts';
import { ratePerSecond, type Workload } from './workload.ts';

export interface AnalyticModelInput {
  readonly compiled: CompiledProfile;
  readonly workload: Workload;
  readonly hostCores: number;
  readonly ingressCpuMs: number;
  /** Classes whose first token is asked for. */
  readonly firstTokens?: readonly string[];
  /** Per row: what a call took before its first token as it was measured; default: all of it. */
  readonly measuredFirstMs?: Float64Array;
}

/** How long model calls take, by their rows in the compiled profile; without it as long as they were measured. */
export interface CallTimes {
  readonly callMs: Float64Array;
  /** The part before the first token. */
  readonly firstMs: Float64Array;
}

/** What the model says of one layout. Arrays are reused by the next evaluation: read them before it. */
export interface AnalyticResult {
  /** Per class. */
  readonly p50Ms: Float64Array;
  readonly p95Ms: Float64Array;
  readonly meanMs: Float64Array;
  /** Per class, until the first token of the answer; only for classes it was asked for. */
  readonly first: { readonly p50Ms: Float64Array; readonly p95Ms: Float64Array; readonly meanMs: Float64Array };
  readonly ratePerSecond: Float64Array;
  /** Per unit. */
  readonly utilization: Float64Array;
  /** Per unit: mean wait of one job for the event loop. */
  readonly loopWaitMs: Float64Array;
  cpuMsPerRequest: number;
  totalRate: number;
  feasible: boolean;
}

export interface AnalyticModel {
  /**
   * `full` is the prediction. `bound` keeps only what can but grow when more of the layout is decided: hops of
   * undecided components are free, waits are those that the components decided so far cause each other, the host's
   * limit, slots and the tail of the waits are left out, and in a closed loop nothing waits. So it is a lower bound
   * for every layout that completes this one.
   */
  evaluate(layout: NumericLayout, mode: 'full' | 'bound', times?: CallTimes): AnalyticResult;
}

/** Requests replayed per class: their idle latencies are at the midpoints of equal parts of the distribution. */
const replaysPerClass = 12;
/** A closed loop never offers more than it is answered, so its utilization settles below one. */
const closedCeiling = 0.98;
/** Rounds of its fixed point, each half way in the logarithm. */
const closedRounds = 12;

const noFactor = { mean: 1, p50: 1, p95: 1 };

interface ClassReplays {
  readonly list: Int32Array;
  /** All requests of the class over the replayed ones, when idle: takes out the luck of which ones were picked. */
  readonly factor: { readonly mean: number; readonly p50: number; readonly p95: number };
}

/**
 * The analytic tier: mean demand per unit gives utilization and waits, a few representative requests replayed along
 * their critical path give latency.
 *
 * - A unit replica is one server. Wait per CPU job after Sakasegawa / Allen-Cunneen, with the jobs' own variability and
 *   Poisson arrivals; several replicas behind least-outstanding balancing count as one queue with as many servers.
 * - With more busy loops than cores, running jobs are stretched as in an M/G/c queue with processor sharing.
 * - Work of parallel calls that ends up on one event loop adds up: a phase takes at least the longest head of jobs
 *   there plus what follows it (the one-machine bound with delivery times; Carlier 1982, EJOR 11).
 * - p50 takes 0.69 of the mean waits on the path (median of an exponential), p95 adds the tail of waits of twice their
 *   mean to the spread of the requests themselves, as independent parts.
 */
export function createAnalyticModel(input: AnalyticModelInput): AnalyticModel {
  const { compiled: c, workload, hostCores, ingressCpuMs } = input;
  const measuredFirstMs = input.measuredFirstMs ?? c.callModelMs;
  const classCount = c.classes.length;
  const componentCount = c.components.length;
  const edgeCount = c.edges.length;
  const demand = demandOf(c);
  const arrivals = c.classes.map((name) => workload[name]);
  const anyClosed = arrivals.some((entry) => entry?.process === 'closed');
  const mayWaitForSlots = c.concurrency.some((slots) => slots < 0x7fffffff);

  const rate = new Float64Array(classCount);
  const total = zeroDemand(componentCount, edgeCount);
  const fixedLatency = new Float64Array(edgeCount);
  const perKbLatency = new Float64Array(edgeCount);
  const fixedCpu = new Float64Array(edgeCount);
  const perKbCpu = new Float64Array(edgeCount);
  const crossing = new Uint8Array(edgeCount);
  const unitRoom = Math.max(1, componentCount);
  const cpu = new Float64Array(unitRoom);
  const jobs = new Float64Array(unitRoom);
  const squares = new Float64Array(unitRoom);
  const slotWait = new Float64Array(componentCount);
  const heldMs = new Float64Array(componentCount);
  const result: AnalyticResult = {
    p50Ms: new Float64Array(classCount),
    p95Ms: new Float64Array(classCount),
    meanMs: new Float64Array(classCount),
    first: { p50Ms: new Float64Array(classCount), p95Ms: new Float64Array(classCount), meanMs: new Float64Array(classCount) },
    ratePerSecond: rate,
    utilization: new Float64Array(unitRoom),
    loopWaitMs: new Float64Array(unitRoom),
    cpuMsPerRequest: 0,
    totalRate: 0,
    feasible: true,
  };
  // Replay: per visit its duration without and with waits, and the CPU it puts on the loop it runs on.
  let most = 1;
  for (let s = 0; s < c.skeletonClass.length; s++)
    most = Math.max(most, (c.skeletonVisit[s + 1] as number) - (c.skeletonVisit[s] as number));
  const idle = new Float64Array(most);
  const loaded = new Float64Array(most);
  const quietIdle = new Float64Array(most);
  const quietLoaded = new Float64Array(most);
  const local = new Float64Array(most);
  const idleOf = new Float64Array(replaysPerClass);
  const loadedOf = new Float64Array(replaysPerClass);
  const firstIdleOf = new Float64Array(replaysPerClass);
  const firstLoadedOf = new Float64Array(replaysPerClass);
  const firstOf = c.classes.map((name) => input.firstTokens?.includes(name) === true);
  const branch = { idle: new Float64Array(64), loaded: new Float64Array(64), own: new Float64Array(64), remote: new Float64Array(64) };
  const branchUnit = new Int32Array(64);
  const order = new Int32Array(64);

  let stretch = 1;
  let callMs = c.callModelMs;
  let firstMs = c.callModelMs;
  let openRates = false;
  const replays = chooseReplays();

  function setRates(): void {
    // Open rates never change; only closed loops are fixed points of their own latency.
    if (openRates && !anyClosed) return;
    clearDemand(total);
    let sum = 0;
    for (let k = 0; k < classCount; k++) {
      sum += rate[k] as number;
      addDemand(total, demand[k] as ClassDemand, rate[k] as number);
    }
    result.totalRate = sum;
    openRates = true;
  }

  function loads(layout: NumericLayout, waits: boolean, shared = true): void {
    const units = layout.unitIds.length;
    cpu.fill(0, 0, units);
    jobs.fill(0, 0, units);
    squares.fill(0, 0, units);
    let everywhere = 0;
    for (let i = 0; i < componentCount; i++) {
      const unit = layout.unitOf[i] as number;
      if (unit === -2) continue;
      everywhere += total.cpuMs[i] as number;
      if (unit >= 0) load(unit, total.cpuMs[i] as number, total.jobs[i] as number, total.cpuSquares[i] as number);
    }
    if (ingressCpuMs > 0 && c.entry >= 0) {
      everywhere += result.totalRate * ingressCpuMs;
      const unit = layout.unitOf[c.entry] as number;
      if (unit >= 0) load(unit, result.totalRate * ingressCpuMs, result.totalRate, result.totalRate * ingressCpuMs ** 2);
    }
    for (let e = 0; e < edgeCount; e++) {
      const hop = layout.hops[e];
      crossing[e] = hop ? 1 : 0;
      if (!hop) continue;
      fixedLatency[e] = hop.latencyFixedMs;
      perKbLatency[e] = hop.latencyPerKbMs;
      fixedCpu[e] = hop.cpuFixedMs;
      perKbCpu[e] = hop.cpuPerKbMs;
      const waited = total.waitedCalls[e] as number;
      const oneWay = total.oneWayCalls[e] as number;
      const kb = (total.requestKb[e] as number) + (total.responseKb[e] as number);
      const both = (waited + oneWay / 2) * hop.cpuFixedMs + kb * hop.cpuPerKbMs;
      const perEnd = both / 2;
      // Work of no length neither waits nor makes wait.
      const jobsPerEnd = both > 0 ? 2 * waited + oneWay : 0;
      const edge = c.edges[e] as { from: number; to: number };
      const jobSquares = jobsPerEnd > 0 ? (perEnd * perEnd) / jobsPerEnd : 0;
      const from = layout.unitOf[edge.from] as number;
      const to = layout.unitOf[edge.to] as number;
      if (from !== -2) everywhere += perEnd;
      if (to !== -2) everywhere += perEnd;
      if (from >= 0) load(from, perEnd, jobsPerEnd, jobSquares);
      if (to >= 0) load(to, perEnd, jobsPerEnd, jobSquares);
    }
    result.cpuMsPerRequest = result.totalRate > 0 ? everywhere / result.totalRate : 0;
    // everywhere is ms of CPU per second.
    const hostLoad = everywhere / 1000 / hostCores;
    let processes = 0;
    for (let u = 0; u < units; u++) processes += layout.replicas[u] as number;
    // A closed loop slows down instead of overloading anything.
    result.feasible = anyClosed || hostLoad < 1;
    const hostRho = Math.min(hostLoad, closedCeiling);
    // Wait in units of the service time, which is how much longer a job takes under processor sharing.
    stretch = waits && shared && processes > hostCores ? 1 + waitMs(hostRho, hostCores, 1, 1) : 1;
    for (let u = 0; u < units; u++) {
      const replicas = layout.replicas[u] as number;
      const rho = (cpu[u] as number) / 1000 / replicas;
      result.utilization[u] = rho;
      if (rho >= 1 && !anyClosed) result.feasible = false;
      result.loopWaitMs[u] = 0;
      const count = jobs[u] as number;
      if (!waits || count <= 0) continue;
      const mean = (cpu[u] as number) / count;
      const cs2 = Math.max(0, (squares[u] as number) / count / (mean * mean) - 1);
      result.loopWaitMs[u] = waitMs(Math.min(rho * stretch, anyClosed ? closedCeiling : 0.999), replicas, mean * stretch, (1 + cs2) / 2);
    }
  }
  function load(unit: number, cpuMs: number, count: number, sumSquares: number): void {
    cpu[unit] = (cpu[unit] as number) + cpuMs;
    jobs[unit] = (jobs[unit] as number) + count;
    squares[unit] = (squares[unit] as number) + sumSquares;
  }

  function replay(skeleton: number, layout: NumericLayout, weight: number): void {
    const from = c.skeletonVisit[skeleton] as number;
    for (let visit = (c.skeletonVisit[skeleton + 1] as number) - 1; visit >= from; visit--) {
      const at = visit - from;
      const component = c.visitComponent[visit] as number;
      const unit = layout.unitOf[component] as number;
      const wait = unit >= 0 ? (result.loopWaitMs[unit] as number) : 0;
      let idleMs = 0;
      let loadedMs = slotWait[component] as number;
      let localMs = 0;
      let quietAfterIdle = 0;
      let quietAfterLoaded = 0;
      const lastPhase = c.visitPhase[visit + 1] as number;
      for (let phase = c.visitPhase[visit] as number; phase < lastPhase; phase++) {
        const own = c.phaseCpuMs[phase] as number;
        const self = c.phaseSelfMs[phase] as number;
        idleMs += self;
        loadedMs += own > 0 && unit >= 0 ? self + wait + own * (stretch - 1) : self;
        if (unit >= 0) localMs += own;
        const first = c.phaseCall[phase] as number;
        const last = c.phaseCall[phase + 1] as number;
        let n = 0;
        let ahead = false;
        let longestIdle = 0;
        let longestLoaded = 0;
        for (let call = first; call < last; call++) {
          const edge = c.callEdge[call] as number;
          if (edge < 0) {
            const ms = callMs[call] as number;
            if (ms > longestIdle) longestIdle = ms;
            if (ms > longestLoaded) longestLoaded = ms;
            continue;
          }
          const child = (c.callVisit[call] as number) - from;
          const blocking = c.callBlocking[call] === 1;
          let latency = 0;
          let extra = 0;
          let mine = 0;
          let theirs = 0;
          let childUnit = unit;
          let remoteCpu = 0;
          const isUndecided = unit === -1 || layout.unitOf[(c.edges[edge] as { to: number }).to] === -1;
          if (crossing[edge] === 1) {
            const kb = (c.callRequestKb[call] as number) + (c.callResponseKb[call] as number);
            const share = blocking ? 1 : 0.5;
            latency = (fixedLatency[edge] as number) * share + (perKbLatency[edge] as number) * kb;
            remoteCpu = Math.min(latency, (fixedCpu[edge] as number) * share + (perKbCpu[edge] as number) * kb) / 2;
            childUnit = layout.unitOf[(c.edges[edge] as { to: number }).to] as number;
            const childWait = childUnit >= 0 ? (result.loopWaitMs[childUnit] as number) : 0;
            extra = remoteCpu > 0 ? (blocking ? 2 : 1) * (wait + childWait) + 2 * remoteCpu * (stretch - 1) : 0;
            mine = remoteCpu;
            theirs = (local[child] as number) + remoteCpu;
          } else {
            mine = isUndecided ? 0 : (local[child] as number);
          }
          if (!blocking) {
            // The caller goes on once the message is sent, but the work still counts until all is quiet.
            if (crossing[edge] === 1) localMs += mine;
            else if (n < 64 && mine > 0 && (phase + 1 < lastPhase || last - first > 1)) {
              // Its CPU runs on the caller's loop first, so what the caller does next comes after it.
              branch.idle[n] = mine;
              branch.loaded[n] = mine;
              branch.own[n] = mine;
              branch.remote[n] = 0;
              branchUnit[n] = -1;
              n++;
              ahead = true;
            }
            quietAfterIdle = Math.max(quietAfterIdle, idleMs + latency + (quietIdle[child] as number));
            quietAfterLoaded = Math.max(quietAfterLoaded, loadedMs + latency + extra + (quietLoaded[child] as number));
            continue;
          }
          const branchIdle = latency + (idle[child] as number);
          const branchLoaded = latency + extra + (loaded[child] as number);
          quietAfterIdle = Math.max(quietAfterIdle, idleMs + latency + (quietIdle[child] as number));
          quietAfterLoaded = Math.max(quietAfterLoaded, loadedMs + latency + extra + (quietLoaded[child] as number));
          if (branchIdle > longestIdle) longestIdle = branchIdle;
          if (branchLoaded > longestLoaded) longestLoaded = branchLoaded;
          localMs += mine;
          if (n < 64) {
            branch.idle[n] = branchIdle;
            branch.loaded[n] = branchLoaded;
            branch.own[n] = unit >= 0 ? mine : 0;
            branch.remote[n] = theirs;
            branchUnit[n] = crossing[edge] === 1 && childUnit >= 0 && layout.replicas[childUnit] === 1 ? childUnit : -1;
            n++;
          }
        }
        if (n > 1 || ahead) {
          longestIdle = Math.max(longestIdle, serialMs(n, branch.own, branch.idle, -1));
          longestLoaded = Math.max(longestLoaded, serialMs(n, branch.own, branch.loaded, -1));
          for (let i = 0; i < n; i++) {
            const target = branchUnit[i] as number;
            if (target < 0) continue;
            let seen = false;
            for (let j = 0; j < i; j++) if (branchUnit[j] === target) seen = true;
            if (seen) continue;
            longestIdle = Math.max(longestIdle, serialMs(n, branch.remote, branch.idle, target));
            longestLoaded = Math.max(longestLoaded, serialMs(n, branch.remote, branch.loaded, target));
          }
        }
        idleMs += longestIdle;
        loadedMs += longestLoaded;
      }
      idle[at] = idleMs;
      loaded[at] = loadedMs;
      local[at] = localMs;
      quietIdle[at] = Math.max(idleMs, quietAfterIdle);
      quietLoaded[at] = Math.max(loadedMs, quietAfterLoaded);
      heldMs[component] = (heldMs[component] as number) + loadedMs * weight;
    }
  }

  /** Shortest time in which branches can end that share a loop: largest first by what follows their CPU, cumulated. */
  function serialMs(n: number, onLoop: Float64Array, whole: Float64Array, target: number): number {
    let count = 0;
    for (let i = 0; i < n; i++) {
      if ((target >= 0 && branchUnit[i] !== target) || (onLoop[i] as number) <= 0) continue;
      const rest = (whole[i] as number) - (onLoop[i] as number);
      let place = count++;
      while (place > 0) {
        const before = order[place - 1] as number;
        if ((whole[before] as number) - (onLoop[before] as number) >= rest) break;
        order[place] = before;
        place--;
      }
      order[place] = i;
    }
    let sum = 0;
    let longest = 0;
    for (let k = 0; k < count; k++) {
      const i = order[k] as number;
      sum += onLoop[i] as number;
      const end = sum + (whole[i] as number) - (onLoop[i] as number);
      if (end > longest) longest = end;
    }
    return longest;
  }

  function latencies(layout: NumericLayout, waits: boolean, tail = true): void {
    const entryUnit = c.entry >= 0 ? (layout.unitOf[c.entry] as number) : -1;
    const inWait = ingressCpuMs > 0 && entryUnit >= 0 ? (result.loopWaitMs[entryUnit] as number) + ingressCpuMs * (stretch - 1) : 0;
    const inCpu = entryUnit !== -2 ? ingressCpuMs : 0;
    heldMs.fill(0);
    for (let k = 0; k < classCount; k++) {
      const { list, factor } = replays[k] as ClassReplays;
      const n = list.length;
      for (let i = 0; i < n; i++) {
        replay(list[i] as number, layout, (rate[k] as number) / n);
        idleOf[i] = (c.completesWhenQuiet ? (quietIdle[0] as number) : (idle[0] as number)) + inCpu;
        loadedOf[i] = Math.max(
          idleOf[i] as number,
          (c.completesWhenQuiet ? (quietLoaded[0] as number) : (loaded[0] as number)) + inCpu + inWait,
        );
        if (firstOf[k]) {
          // What comes after the first token of the last model call is the same stretch in every layout.
          const speaker = c.skeletonSpeaker[list[i] as number] as number;
          const tail = speaker < 0 ? 0 : (callMs[speaker] as number) - (firstMs[speaker] as number);
          firstIdleOf[i] = Math.max(0, (idleOf[i] as number) - tail);
          firstLoadedOf[i] = Math.max(0, (loadedOf[i] as number) - tail);
        }
      }
      statistics(result, k, n, idleOf, loadedOf, factor, waits, tail);
      if (firstOf[k]) statistics(result.first, k, n, firstIdleOf, firstLoadedOf, noFactor, waits, tail);
    }
  }

  function statistics(
    into: Pick<AnalyticResult, 'p50Ms' | 'p95Ms' | 'meanMs'>,
    k: number,
    n: number,
    idleMs: Float64Array,
    loadedMs: Float64Array,
    factor: ClassReplays['factor'],
    waits: boolean,
    tail: boolean,
  ): void {
    if (n === 0) {
      into.meanMs[k] = 0;
      into.p50Ms[k] = 0;
      into.p95Ms[k] = 0;
      return;
    }
    let meanIdle = 0;
    let mean = 0;
    for (let i = 0; i < n; i++) {
      meanIdle += idleMs[i] as number;
      mean += loadedMs[i] as number;
    }
    meanIdle /= n;
    mean /= n;
    sortFirst(idleMs, n);
    if (!waits) {
      into.meanMs[k] = meanIdle * factor.mean;
      into.p50Ms[k] = midpointQuantile(idleMs, n, 0.5) * factor.p50;
      into.p95Ms[k] = midpointQuantile(idleMs, n, 0.95) * factor.p95;
      return;
    }
    sortFirst(loadedMs, n);
    const medianIdle = midpointQuantile(idleMs, n, 0.5);
    const highIdle = midpointQuantile(idleMs, n, 0.95);
    const waited = mean - meanIdle;
    into.meanMs[k] = mean * factor.mean;
    into.p50Ms[k] = factor.p50 * (medianIdle + Math.LN2 * Math.max(0, midpointQuantile(loadedMs, n, 0.5) - medianIdle));
    const spread = Math.max(0, highIdle - meanIdle);
    const high = Math.max(highIdle, midpointQuantile(loadedMs, n, 0.95));
    into.p95Ms[k] = factor.p95 * (high + (tail ? Math.hypot(spread, 2 * waited) - spread : 0));
  }

  /** Waits for a slot of a component, from how long the replay held it. True when some wait matters. */
  function slotWaits(layout: NumericLayout): boolean {
    let matters = false;
    for (let i = 0; i < componentCount; i++) {
      slotWait[i] = 0;
      const unit = layout.unitOf[i] as number;
      if (unit < 0) continue;
      const slots = (c.concurrency[i] as number) * (layout.replicas[unit] as number);
      const load = (heldMs[i] as number) / 1000 / slots;
      if (load < 0.05) continue;
      if (load >= 1 && !anyClosed) result.feasible = false;
      const visits = total.visits[i] as number;
      const held = visits > 0 ? (heldMs[i] as number) / visits : 0;
      slotWait[i] = waitMs(Math.min(load, closedCeiling), slots, held, 1);
      if ((slotWait[i] as number) > 0.01 * held) matters = true;
    }
    return matters;
  }

  return {
    evaluate(layout, mode, times) {
      callMs = times?.callMs ?? c.callModelMs;
      firstMs = times?.firstMs ?? measuredFirstMs;
      slotWait.fill(0);
      if (anyClosed) {
        // A closed loop is fastest when nothing waits: the start of the fixed point, and all there is for a bound.
        for (let k = 0; k < classCount; k++) rate[k] = arrivals[k]?.process === 'closed' ? 0 : openRate(k);
        setRates();
        loads(layout, false);
        latencies(layout, false);
        closedRates(1);
        setRates();
        loads(layout, false);
        if (mode === 'bound') return result;
      } else if (!openRates) {
        for (let k = 0; k < classCount; k++) rate[k] = openRate(k);
        setRates();
      }
      if (mode === 'bound') {
        loads(layout, true, false);
        latencies(layout, true, false);
        return result;
      }
      for (let round = 0; round < (anyClosed ? closedRounds : 1); round++) {
        slotWait.fill(0);
        loads(layout, true);
        latencies(layout, true);
        if (mayWaitForSlots && slotWaits(layout)) latencies(layout, true);
        if (!anyClosed) break;
        closedRates(0.5);
        setRates();
      }
      return result;
    },
  };

  function openRate(k: number): number {
    const open = arrivals[k];
    return open ? ratePerSecond(open, 0) : 0;
  }

  function chooseReplays(): readonly ClassReplays[] {
    // Idle and in one process: the demand alone orders the requests, not what they happened to meet.
    const together: NumericLayout = {
      unitOf: Int32Array.from(c.external, (external) => (external === 1 ? -2 : -1)),
      unitIds: [],
      replicas: new Int32Array(0),
      hops: c.edges.map(() => null),
    };
    return c.classes.map((_, id) => {
      const members = [...c.skeletonClass.keys()].filter((s) => c.skeletonClass[s] === id);
      const ms = new Map(
        members.map((s) => {
          replay(s, together, 0);
          return [s, c.completesWhenQuiet ? (quietIdle[0] as number) : (idle[0] as number)] as const;
        }),
      );
      const at = (s: number) => ms.get(s) as number;
      members.sort((a, b) => at(a) - at(b) || a - b);
      const n = Math.min(replaysPerClass, members.length);
      const list = Int32Array.from({ length: n }, (_, i) => members[Math.floor(((i + 0.5) / n) * members.length)] as number);
      const all = Float64Array.from(members, at);
      const few = Float64Array.from(list, at);
      const ratio = (statistic: (values: Float64Array) => number) => (n > 0 && statistic(few) > 0 ? statistic(all) / statistic(few) : 1);
      return {
        list,
        factor: {
          mean: ratio((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
          p50: ratio((values) => midpointQuantile(values, values.length, 0.5)),
          p95: ratio((values) => midpointQuantile(values, values.length, 0.95)),
        },
      };
    });
  }

  function closedRates(step: number): void {
    for (let k = 0; k < classCount; k++) {
      const loop = arrivals[k];
      if (loop?.process !== 'closed') continue;
      const next = ratePerSecond(loop, result.meanMs[k] as number);
      rate[k] = (rate[k] as number) === 0 ? next : (rate[k] as number) ** (1 - step) * next ** step;
    }
  }
}

/** Quantile of n sorted values that stand for the midpoints of n equal parts, with straight lines between them. */
function midpointQuantile(sorted: Float64Array, n: number, q: number): number {
  const at = Math.min(n - 1, Math.max(0, q * n - 0.5));
  const low = Math.floor(at);
  const high = Math.min(n - 1, low + 1);
  return (sorted[low] as number) + (at - low) * ((sorted[high] as number) - (sorted[low] as number));
}

function sortFirst(values: Float64Array, n: number): void {
  for (let i = 1; i < n; i++) {
    const value = values[i] as number;
    let place = i;
    while (place > 0 && (values[place - 1] as number) > value) {
      values[place] = values[place - 1] as number;
      place--;
    }
    values[place] = value;
  }
}

function zeroDemand(components: number, edges: number): ClassDemand {
  return {
    cpuMs: new Float64Array(components),
    jobs: new Float64Array(components),
    cpuSquares: new Float64Array(components),
    visits: new Float64Array(components),
    waitedCalls: new Float64Array(edges),
    oneWayCalls: new Float64Array(edges),
    requestKb: new Float64Array(edges),
    responseKb: new Float64Array(edges),
  };
}

function clearDemand(into: ClassDemand): void {
  for (const array of Object.values(into)) array.fill(0);
}

function addDemand(into: ClassDemand, from: ClassDemand, factor: number): void {
  for (const key of Object.keys(into) as (keyof ClassDemand)[]) {
    const [target, source] = [into[key], from[key]];
    for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) + factor * (source[i] as number);
  }
}
