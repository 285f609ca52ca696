import { setImmediate } from 'node:timers/promises';
import type { Connection, OutgoingCall } from '../protocol.ts';

export interface HopSample {
  /** Request and reply together. */
  readonly sizeKb: number;
  /** Median of one call. */
  readonly latencyMs: number;
  /** Mean of one call, both ends. */
  readonly cpuMs: number;
}

/** Body sizes in KB one way, each with the calls per round that make its share of the time fair. */
const sizes = [
  { bodyKb: 1, calls: 30 },
  { bodyKb: 16, calls: 8 },
  { bodyKb: 128, calls: 2 },
  { bodyKb: 512, calls: 1 },
] as const;
/** Small messages only: the compiler needs many calls, not many bytes, to settle. */
const warmupMs = 250;
const measureMs = 450;
const leastRounds = 3;

/** Calls an echo with bodies of every size in turn, so that a drift of the machine touches all sizes alike. */
export async function sampleHops(connection: Connection, signal: AbortSignal | undefined): Promise<HopSample[]> {
  const plans = sizes.map(({ bodyKb, calls }) => ({
    calls,
    sizeKb: 2 * bodyKb,
    body: bodyOf(bodyKb * 1024),
    latenciesMs: [] as number[],
    cpuUs: 0,
  }));
  const warmUntil = performance.now() + warmupMs;
  const [smallest] = plans;
  while (smallest !== undefined && performance.now() < warmUntil) {
    for (let i = 0; i < smallest.calls; i++) await connection.call(callWith(smallest.body));
    await breathe(signal);
  }
  const round = async () => {
    for (const plan of plans) {
      await breathe(signal);
      const before = process.cpuUsage();
      for (let i = 0; i < plan.calls; i++) {
        const started = performance.now();
        await connection.call(callWith(plan.body));
        plan.latenciesMs.push(performance.now() - started);
      }
      const used = process.cpuUsage(before);
      plan.cpuUs += used.user + used.system;
    }
  };
  const until = performance.now() + measureMs;
  for (let rounds = 0; rounds < leastRounds || performance.now() < until; rounds++) await round();
  return plans.map(({ sizeKb, latenciesMs, cpuUs }) => ({
    sizeKb,
    latencyMs: median(latenciesMs),
    cpuMs: cpuUs / 1000 / latenciesMs.length,
  }));
}

/** Calls within the process never leave the microtask queue; timers and signals must get their turn all the same. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}

const callWith = (body: unknown): OutgoingCall => ({
  target: 'echo',
  pattern: 'request',
  body,
  meta: {
    requestId: '6f1c2d3e-5a7b-4c8d-9e0f-1a2b3c4d5e6f',
    sessionId: 'session',
    from: 'prices',
    channel: 'prices->echo',
    remainingMs: 60_000,
    attempt: 1,
    trace: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
  },
  signal: new AbortController().signal,
  wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
});

/** JSON of the given size, like messages between agents: sentences, some numbers, some nesting. */
function bodyOf(sizeBytes: number): unknown {
  const item = {
    id: 17,
    score: 0.8731,
    tags: ['travel', 'weather'],
    text: 'Mild and sunny, with a light wind from the west in the afternoon.',
  };
  const itemBytes = JSON.stringify(item).length + 1;
  return { items: Array.from({ length: Math.max(1, Math.round(sizeBytes / itemBytes)) }, () => item) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
