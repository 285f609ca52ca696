import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type BindAddress, canonicalJson, type ProtocolPrice } from '../../compiler/contracts/index.ts';
import { priceLine } from './prices/line.ts';
import { sampleHops } from './prices/sample.ts';
import type { Echoing, EchoTask } from './prices/worker.ts';
import type { Protocol, ProtocolDescriptor, ProtocolOptions } from './protocol.ts';

/**
 * What one hop costs on this machine, for each protocol with each combination of its searchable options: about 0.8 s
 * each. A size in KB counts both ways: a request of 10 KB with a reply of 2 KB is 12 KB. Latency is the median of one
 * call at a time, serialization on both ends included; CPU is that of the whole process, which holds both ends (the
 * callee runs in a worker thread, and `process.cpuUsage` counts all threads).
 *
 * A protocol that needs a mediator, or whose optional package is not installed, has no price and is left out.
 * @param scratch where sockets are made; its path should be short.
 * @throws the reason of `signal` when it is aborted.
 */
export async function measureProtocolPrices(
  descriptors: readonly ProtocolDescriptor[],
  signal?: AbortSignal,
  scratch = tmpdir(),
): Promise<ProtocolPrice[]> {
  const prices: ProtocolPrice[] = [];
  for (const descriptor of descriptors) {
    if (descriptor.traits.mediator !== null) continue;
    const protocol = await descriptor.load().catch(() => undefined);
    if (protocol === undefined) continue;
    for (const options of searchableCombinations(descriptor)) {
      signal?.throwIfAborted();
      const price = await priceOf(descriptor, protocol, options, signal, scratch).catch(unlessMissing);
      if (price !== undefined) prices.push(price);
    }
  }
  return prices;
}

/** An option may need a package of its own: A2A over gRPC needs gRPC's. */
function unlessMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
}

/** The defaults with every combination of the option values worth searching. */
export function searchableCombinations({ options, traits }: ProtocolDescriptor): ProtocolOptions[] {
  let all = [options.parse({}) as ProtocolOptions];
  for (const [name, values] of Object.entries(traits.searchable)) {
    all = all.flatMap((chosen) => values.map((value) => ({ ...chosen, [name]: value })));
  }
  return all;
}

async function priceOf(
  descriptor: ProtocolDescriptor,
  protocol: Protocol,
  options: ProtocolOptions,
  signal: AbortSignal | undefined,
  scratch: string,
): Promise<ProtocolPrice> {
  const folder = await mkdtemp(join(scratch, 'p-'));
  const at: BindAddress = protocol.bind(options) === 'unix' ? { path: join(folder, 'echo.sock') } : { host: '127.0.0.1', port: 0 };
  try {
    const echo = descriptor.traits.inProcess
      ? await echoHere(protocol, at, options)
      : await echoInWorker({ protocol: descriptor.id, at, options });
    try {
      const connection = protocol.connect({ replica: 0, instanceId: 'echo', at: echo.at }, options);
      try {
        const samples = await sampleHops(connection, signal);
        const latency = priceLine(samples.map(({ sizeKb, latencyMs }) => ({ sizeKb, costMs: latencyMs })));
        const cpu = priceLine(samples.map(({ sizeKb, cpuMs }) => ({ sizeKb, costMs: cpuMs })));
        return {
          protocol: descriptor.id,
          options: canonicalJson(options),
          latencyFixedMs: latency.fixedMs,
          latencyPerKbMs: latency.perKbMs,
          cpuFixedMs: cpu.fixedMs,
          cpuPerKbMs: cpu.perKbMs,
        };
      } finally {
        await connection.close();
      }
    } finally {
      await echo.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Echo extends Echoing {
  close(): Promise<void>;
}

async function echoHere(protocol: Protocol, at: BindAddress, options: ProtocolOptions): Promise<Echo> {
  const listener = await protocol.listen(at, async (call) => call.body, options);
  return { at: listener.at, close: () => listener.close(0) };
}

/** The callee in a thread of its own, as it would be in another process. */
async function echoInWorker(task: EchoTask): Promise<Echo> {
  const worker = startWorker(task);
  const close = async () => {
    await worker.terminate();
  };
  try {
    const { at } = await new Promise<Echoing>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`the echo thread ended with code ${code}`)));
    });
    return { at, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function startWorker(workerData: EchoTask): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./prices/worker.js', import.meta.url), { workerData });
  // From sources, in development: a thread does not inherit the loader this one runs under.
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json'));
  const loader = new URL('dist/esm/api/index.mjs', tsx).href;
  const entry = new URL('./prices/worker.ts', import.meta.url).href;
  const code = `import('${loader}').then(async ({ register }) => { register(); await import('${entry}'); });`;
  return new Worker(code, { workerData, eval: true });
}
