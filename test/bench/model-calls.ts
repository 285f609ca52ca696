/**
 * What a model call costs beside the model: the prefixes on its span, and the permit of a limiter that lets everything
 * through. `npx tsx test/bench/model-calls.ts`; medians in microseconds. The last line is JSON.
 */
import { tmpdir } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { ChatMessage } from '../../runtime/llm/backend.ts';
import { LimiterClient } from '../../runtime/llm/limiter/client.ts';
import { startLimiterService } from '../../runtime/llm/limiter/service.ts';
import { prefixAttribute, promptParts } from '../../runtime/llm/prompt-parts.ts';

const address = 'service://limiter';
const rounds = 2_000;

const conversation = (messages: number, characters: number): ChatMessage[] =>
  Array.from({ length: messages }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: `${index} ${'x'.repeat(characters)}`,
  }));

async function medianUs(work: () => unknown): Promise<number> {
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now();
    await work();
    took.push((performance.now() - startMs) * 1000);
  }
  return took.sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN;
}

const prefixUs = (messages: readonly ChatMessage[]) => medianUs(() => prefixAttribute(promptParts({ messages, tools: [] }), 1_000));

const started = await startLimiterService(
  {
    id: 'limiter',
    kind: 'limiter',
    replicas: 1,
    resources: { vcpu: 0.25, memoryMb: 128 },
    options: { limits: { main: { requestsPerMinute: 1e9, tokensPerMinute: 1e12, concurrency: 64, windowMs: 1 } } },
  },
  {
    deploymentId: 'bench',
    id: 'limiter',
    replica: 0,
    instanceId: 'limiter.0',
    control: { host: '127.0.0.1', port: 0 },
    listen: { [address]: { host: '127.0.0.1', port: 0 } },
    peers: {},
    otlpEndpoints: [],
    samplingRatio: 0,
    stateDir: tmpdir(),
    queueLimit: 1,
    drainMs: 100,
  },
);
const limiter = new LimiterClient(address);
const at = started.report.listen[address];
if (at === undefined) throw new Error('the limiter listens nowhere');
limiter.update({ [address]: [{ replica: 0, instanceId: 'limiter.0', at }] });
const { signal } = new AbortController();

const result = {
  prefix_10x1k_us: await prefixUs(conversation(10, 1_000)),
  prefix_100x4k_us: await prefixUs(conversation(100, 4_000)),
  permit_us: await medianUs(async () => {
    const permit = await limiter.enter('main', 100, signal);
    permit.sent();
    permit.leave(100);
  }),
};
limiter.close();
await started.close();
process.stdout.write(`${JSON.stringify(Object.fromEntries(Object.entries(result).map(([name, us]) => [name, Math.round(us)])))}\n`);
