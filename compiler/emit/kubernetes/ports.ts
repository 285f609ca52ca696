import type { LogicalAddress } from '../../contracts/index.ts';
import type { StandingMember } from '../standing.ts';

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly address: LogicalAddress;
  /** What meshes and load balancers are told is spoken there. */
  readonly appProtocol: 'http' | 'grpc' | 'tcp';
}

/** Ports of a member with names that say what is spoken, as meshes want them: `<protocol>-<port>`, at most 15 characters. */
export function namedPorts({ ports, planned }: StandingMember): readonly NamedPort[] {
  return ports.map(({ address, port }) => {
    const protocol = 'listens' in planned ? planned.listens.find((listener) => listener.address === address)?.protocol : undefined;
    // Sidecars that read HTTP refuse the CONNECT of a proxy unless told otherwise; bytes they pass on.
    const isProxy = 'kind' in planned && planned.kind === 'egress';
    const appProtocol = isProxy ? 'tcp' : protocol === 'grpc' ? 'grpc' : 'http';
    return { name: `${appProtocol}-${port}`, port, address, appProtocol };
  });
}
