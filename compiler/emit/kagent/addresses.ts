import { fail, type LogicalAddress } from '../../contracts/index.ts';
import type { Context } from '../kubernetes/context.ts';

/** Where a listener of the deployment is found from other namespaces: kagent’s controller is seldom in this one. */
export function within({ members, peersOf, input }: Context, address: LogicalAddress): string {
  for (const { id, ports } of members) {
    const found = ports.find((port) => port.address === address);
    if (found) return `http://${peersOf(id)}.${input.namespace ?? 'default'}:${found.port}`;
  }
  return fail('DMAS_EXPORT', `nobody in this layout listens at ${address}`);
}
