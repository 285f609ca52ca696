import type { ReplicaAddress } from '../../../compiler/contracts/index.ts';
import type { Connection } from '../protocol.ts';
import type { A2aOptions } from './server.ts';
export function connectForeign(_to: ReplicaAddress, _options: A2aOptions): Connection {
  throw new Error('later');
}
