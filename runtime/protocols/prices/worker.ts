// The callee of prices.ts in a worker thread: answers every call with its body until the thread is ended.
import { parentPort, workerData } from 'node:worker_threads';
import type { BindAddress } from '../../../compiler/contracts/index.ts';
import type { ProtocolDescriptor, ProtocolOptions } from '../protocol.ts';

export interface EchoTask {
  readonly protocol: string;
  readonly at: BindAddress;
  readonly options: ProtocolOptions;
}

export interface Echoing {
  readonly at: BindAddress;
}

const task = workerData as EchoTask;
// Descriptors do not cross threads; the id of a protocol is the name of its file.
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const module: { readonly [name: string]: unknown } = await import(new URL(`../${task.protocol}${extension}`, import.meta.url).href);
const descriptor = Object.values(module).find((value) => (value as ProtocolDescriptor | undefined)?.kind === 'protocol') as
  | ProtocolDescriptor
  | undefined;
if (descriptor === undefined) throw new Error(`${task.protocol} exports no protocol`);
const protocol = await descriptor.load();
const listener = await protocol.listen(task.at, async (call) => call.body, task.options);
parentPort?.postMessage({ at: listener.at } satisfies Echoing);
