import type { Literal, PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import { CallError } from '../../compiler/contracts/index.ts';
import type { StartedProcess } from '../process-life.ts';
import { httpJsonProtocol } from '../protocols/http-json/protocol.ts';
import type { IncomingCall } from '../protocols/protocol.ts';
import { startServiceProcess } from '../service-process.ts';
import type { StateStore, StateStoreDescriptor } from './store.ts';

/**
 * A process that hosts a store for units that cannot open it themselves. Spoken to over http-json, target `state`,
 * with a {@link StateRequest} as body. Without `binding` this is the process (see `startServiceProcess`).
 */
export async function startStateService(
  service: PlannedService,
  descriptor: StateStoreDescriptor,
  binding?: ProcessBinding,
): Promise<StartedProcess> {
  const factory = await descriptor.load();
  const listen = async (bound: ProcessBinding) => {
    const address = `service://${service.id}`;
    const at = bound.listen[address];
    if (at === undefined) throw new Error(`the binding has no address for ${address}`);
    const store = await factory.open(bound.stateDir, optionsOf(service, descriptor));
    const listener = await httpJsonProtocol.listen(at, (call) => answer(store, call), {});
    return {
      report: { [address]: listener.at },
      async close() {
        await listener.close(bound.drainMs);
        await store.close();
      },
    };
  };
  return startServiceProcess({ listen }, binding);
}

/** What the client asks; `expected` as in `StateStore.put`. */
export type StateRequest =
  | { readonly operation: 'get' | 'delete'; readonly key: string }
  | { readonly operation: 'put'; readonly key: string; readonly value: unknown; readonly expected?: number };

/** Replies: a Versioned or null for `get`, whether it was written for `put`, null for `delete`. */
async function answer(store: StateStore, call: IncomingCall): Promise<unknown> {
  const request = parseRequest(call);
  switch (request.operation) {
    case 'get':
      return (await store.get(request.key)) ?? null;
    case 'put':
      return store.put(request.key, request.value, request.expected);
    case 'delete':
      await store.delete(request.key);
      return null;
  }
}

function parseRequest(call: IncomingCall): StateRequest {
  const body = (call.body ?? {}) as { readonly [field: string]: unknown };
  const { operation, key, value, expected } = body;
  if (call.target !== 'state') throw new CallError({ code: 'unknown', message: `no ${call.target} here, only state`, neverStarted: true });
  if (typeof key === 'string') {
    if (operation === 'get' || operation === 'delete') return { operation, key };
    if (operation === 'put' && 'value' in body) {
      if (expected === undefined) return { operation, key, value };
      if (typeof expected === 'number') return { operation, key, value, expected };
    }
  }
  throw new CallError({ code: 'invalid', message: 'not a state request' });
}

/** The service's options hold more than the store's own; the store gets what it knows. */
function optionsOf(service: PlannedService, descriptor: StateStoreDescriptor): { readonly [option: string]: Literal } {
  const known = Object.entries(service.options).filter(([name]) => Object.hasOwn(descriptor.options.shape, name));
  return descriptor.options.parse(Object.fromEntries(known)) as { readonly [option: string]: Literal };
}
