import type { LogicalAddress } from '../../contracts/index.ts';
import type { StandingMember } from '../standing.ts';

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly address: LogicalAddress;
  /** What meshes and load balancers are told is spoken there. */
  readonly appProtocol: 'http' | 'grpc';
}

/** Ports of a member with names that say what is spoken, as meshes want them: `<protocol>-<port>`, at most 15 characters. */
export function namedPorts({ ports, planned }: StandingMember): readonly NamedPort[] {
  return ports.map(({ address, port }) => {
    const protocol = 'listens' in planned ? planned.listens.find((listener) => listener.address === address)?.protocol : undefined;
    const appProtocol = protocol === 'grpc' ? 'grpc' : 'http';
    return { name: `${appProtocol}-${port}`, port, address, appProtocol };
  });
}
