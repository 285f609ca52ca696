import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { stateStores } from '../../cli/registry.ts';
import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import type { StartedProcess } from '../../runtime/process-life.ts';
import { connectStateService } from '../../runtime/state/client.ts';
import { startStateService } from '../../runtime/state/service.ts';
import type { StateStoreDescriptor } from '../../runtime/state/store.ts';
import { type StoreUnderTest, stateStoreSuite } from './state-store-suite.ts';

const descriptors: readonly StateStoreDescriptor[] = stateStores;
const notKept = (id: string) => `the traits of ${id} say that its state ends with the process`;

async function direct(descriptor: StateStoreDescriptor): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-state-'));
  const factory = await descriptor.load();
  const open = () => factory.open(folder, descriptor.options.parse({}) as never);
  return {
    open,
    reopen: descriptor.traits.survivesReplica ? open : notKept(descriptor.id),
    cleanUp: () => rm(folder, { recursive: true }),
  };
}

async function throughService(descriptor: StateStoreDescriptor): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-state-'));
  const started: StartedProcess[] = [];
  const open = async () => {
    for (const earlier of started.splice(0)) await earlier.close();
    const process = await startStateService(stateService, descriptor, bindingOf(folder));
    started.push(process);
    const at = process.report.listen['service://state'];
    if (at === undefined) throw new Error('the state service reports no address');
    return connectStateService(at);
  };
  return {
    open,
    reopen: descriptor.traits.survivesReplica ? open : notKept(descriptor.id),
    async cleanUp() {
      for (const process of started) await process.close();
      await rm(folder, { recursive: true });
    },
  };
}

const stateService: PlannedService = {
  id: 'state',
  kind: 'state',
  replicas: 1,
  resources: { vcpu: 1, memoryMb: 256 },
  options: { store: 'ignored by the store' },
};

const bindingOf = (stateDir: string): ProcessBinding => ({
  deploymentId: 'd',
  id: 'state',
  replica: 0,
  instanceId: 'state-0',
  control: { host: '127.0.0.1', port: 0 },
  listen: { 'service://state': { host: '127.0.0.1', port: 0 } },
  peers: {},
  otlpEndpoints: [],
  samplingRatio: 1,
  stateDir,
  queueLimit: 100,
  drainMs: 1000,
});

for (const descriptor of descriptors) {
  stateStoreSuite(descriptor.id, () => direct(descriptor));
  stateStoreSuite(`${descriptor.id} behind the state service`, () => throughService(descriptor));

  it(`the descriptor of ${descriptor.id} is complete`, () => {
    expect(descriptor.kind).toBe('stateStore');
    expect(descriptor.title).not.toBe('');
    // Every option has a default.
    expect(descriptor.options.safeParse({}).success).toBe(true);
  });
}
