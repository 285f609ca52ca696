import type { AgentCard, AgentInterface, AgentSkill } from '@a2a-js/sdk';
import type { ServedComponent } from '../protocol.ts';
import { extensionUri } from './extension.ts';

export type Binding = 'json-rpc' | 'rest' | 'grpc';

export const bindingNames: { readonly [binding in Binding]: string } = { 'json-rpc': 'JSONRPC', rest: 'HTTP+JSON', grpc: 'GRPC' };

export interface CardContext {
  /** `host:port` as the asking client reached us. */
  readonly authority: string;
  /** The first is the preferred one. */
  readonly bindings: readonly Binding[];
  readonly legacy: boolean;
  /** Whether calls that name no agent are for this one. */
  readonly first: boolean;
}

const textModes = ['text/plain', 'application/json'];

/** The card of one component. Over HTTP an agent has a path of its own; gRPC knows no paths, so there it is a tenant. */
export function cardOf(component: ServedComponent, context: CardContext): AgentCard {
  const { authority, bindings, legacy, first } = context;
  const url = `http://${authority}/${encodeURIComponent(component.name)}`;
  const versions = legacy ? ['1.0', '0.3'] : ['1.0'];
  const supportedInterfaces = versions.flatMap((protocolVersion) =>
    bindings.flatMap((binding): AgentInterface[] => {
      const protocolBinding = bindingNames[binding];
      // The SDK keeps its translation of 0.3's REST messages to itself, and 0.3 has no tenants.
      if (protocolVersion === '0.3' && (binding === 'rest' || (binding === 'grpc' && !first))) return [];
      if (binding === 'grpc')
        return [{ url: authority, protocolBinding, tenant: protocolVersion === '0.3' ? '' : component.name, protocolVersion }];
      return [{ url, protocolBinding, tenant: '', protocolVersion }];
    }),
  );
  return {
    name: component.name,
    description: component.description,
    supportedInterfaces,
    provider: undefined,
    version: '1.0.0',
    capabilities: {
      streaming: true,
      pushNotifications: false,
      extendedAgentCard: bindings.includes('grpc'),
      extensions: [
        { uri: extensionUri, description: 'Calls between the units of one dmas-opt deployment', required: false, params: undefined },
      ],
    },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: textModes,
    defaultOutputModes: textModes,
    skills: skillsOf(component),
    signatures: [],
  };
}

function skillsOf(component: ServedComponent): AgentSkill[] {
  if (component.kind === 'toolServer') {
    return component.tools.map((tool) => skill(tool.name, tool.description, ['tool', tool.effect], tool.input, tool.output));
  }
  return [skill(component.name, component.description, ['agent'], component.input, component.output)];
}

/** Cards have no place for a schema; a model that reads the description can still make the right data part. */
function skill(name: string, description: string, tags: string[], input: object, output: object | undefined): AgentSkill {
  const shapes = [`Input: ${JSON.stringify(input)}`, ...(output === undefined ? [] : [`Output: ${JSON.stringify(output)}`])];
  return {
    id: name,
    name,
    description: [description, ...shapes].join('\n'),
    tags,
    examples: [],
    inputModes: textModes,
    outputModes: textModes,
    securityRequirements: [],
  };
}
