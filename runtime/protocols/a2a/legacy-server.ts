import type { AgentCard } from '@a2a-js/sdk';
import { LegacyJsonRpcTransportHandler } from '@a2a-js/sdk/compat/v0_3/server';
import { bindingNames } from './card.ts';
import type { Agents } from './serving.ts';

/** A2A 0.3 over JSON-RPC, through the SDK's own translation. */
export interface LegacyBinding {
  readonly jsonRpc: LegacyJsonRpcTransportHandler;
  readonly jsonRpcError: (error: unknown) => unknown;
  /** What a 0.3 client looks for in a card; the names of 1.0 stand beside them. */
  cardFields(card: AgentCard): object;
}

export function legacyBinding(agents: Agents): LegacyBinding {
  return {
    jsonRpc: new LegacyJsonRpcTransportHandler(agents),
    jsonRpcError: (error) => LegacyJsonRpcTransportHandler.mapToLegacyJSONRPCError(error),
    cardFields: ({ supportedInterfaces }) => {
      const url = supportedInterfaces.find(({ protocolVersion }) => protocolVersion === '0.3')?.url;
      return { url, protocolVersion: '0.3.0', preferredTransport: bindingNames['json-rpc'], supportsAuthenticatedExtendedCard: false };
    },
  };
}
