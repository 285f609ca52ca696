import { lookup } from 'node:dns/promises';
import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import type { EgressOptions } from '../../compiler/plan/egress.ts';
import { egressAddress } from '../../compiler/plan/members.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { startServiceProcess } from '../service-process.ts';
import { sameAddress } from './addresses.ts';
import { createAllowList, refusalWords } from './allow.ts';
import { createEgressProxy } from './proxy.ts';
import { type CallerStats, createCallerStats } from './stats.ts';

/**
 * The one way out of a deployment: a forward proxy with a listener per caller, each with that caller's own list of places.
 * Who a caller is, is said by the port it may connect to, and where its target's networks cannot tell ports apart, by the
 * address it comes from (`binding.callers`). Refusals are told once each on standard error and counted in `GET /stats`.
 * Without `binding` it is the whole process (see `startServiceProcess`).
 */
export function startEgressService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const { callers, networks } = service.options as unknown as EgressOptions;
  const stats = new Map<string, CallerStats>(
    Object.keys(callers).map((caller) => [
      caller,
      createCallerStats((place, reason) => {
        process.stderr.write(`refused: ${caller} -> ${place || 'no place'}: ${refusalWords[reason]}\n`);
      }),
    ]),
  );
  const listen = async (bound: ProcessBinding) => {
    const proxies: { close(): Promise<void> }[] = [];
    const places = await Promise.all(
      [...stats].map(async ([caller, counted]) => {
        const address = egressAddress(caller);
        const at = bound.listen[address];
        if (!at) throw new Error(`the binding says nothing of ${address}`);
        const proxy = createEgressProxy({
          allow: createAllowList(callers[caller] ?? [], networks),
          stats: counted,
          knows: callerCheck(bound.callers?.[caller]),
        });
        proxies.push(proxy);
        return [address, await listenAt(proxy.server, at)] as const;
      }),
    );
    return { report: Object.fromEntries(places), close: () => Promise.all(proxies.map((proxy) => proxy.close())).then(() => {}) };
  };
  const read = () => ({ egress: Object.fromEntries([...stats].map(([caller, counted]) => [caller, counted.read()])) });
  return startServiceProcess({ listen, stats: read }, binding);
}

/** How long what a name stood for is believed: replicas come and go. */
const callerTtlMs = 1_000;

/** Whether an address is one of those behind a name; without a name every caller is known by its port alone. */
export function callerCheck(name: string | undefined, now: () => number = () => performance.now()): (address: string) => Promise<boolean> {
  if (name === undefined) return async () => true;
  let known: readonly string[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return async (address) => {
    const has = () => known.some((candidate) => sameAddress(candidate, address));
    if (has() && now() - readAt < callerTtlMs) return true;
    readAt = now();
    known = (await lookup(name, { all: true }).catch(() => [])).map((found) => found.address);
    return has();
  };
}
