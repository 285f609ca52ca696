import { z } from 'zod';
import { calledIfOther, type FoundSystem, type Question, scenarioName } from './found.ts';

/** The part of an A2A agent card that matters here; 1.0 (`supportedInterfaces`) and 0.3 (`url`, `preferredTransport`). */
const card = z.looseObject({
  name: z.string().min(1),
  description: z.string().default(''),
  capabilities: z.looseObject({ streaming: z.boolean().optional() }).default({}),
  skills: z.array(z.looseObject({ id: z.string().optional(), name: z.string().optional() })).default([]),
  supportedInterfaces: z
    .array(
      z.looseObject({
        url: z.string(),
        protocolBinding: z.string(),
        tenant: z.string().optional(),
        protocolVersion: z.string().optional(),
      }),
    )
    .optional(),
  url: z.string().optional(),
  preferredTransport: z.string().optional(),
  securitySchemes: z.record(z.string(), z.unknown()).default({}),
});

export const looksLikeAgentCard = (value: unknown): boolean =>
  value !== null &&
  typeof value === 'object' &&
  'name' in value &&
  ('supportedInterfaces' in value || ('url' in value && ('skills' in value || 'capabilities' in value)));

/** A2A's names of its bindings (specification 1.0, section 5) as options of our protocol. */
const bindings: { readonly [name: string]: string } = { JSONRPC: 'json-rpc', 'HTTP+JSON': 'rest', GRPC: 'grpc' };

/** An agent of another team, from its card: measured where it is, never deployed. */
export function foundInAgentCard(value: unknown, place: string): FoundSystem | { readonly problem: string } {
  const parsed = card.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { problem: `not an agent card: ${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'unreadable'}` };
  }
  const { name, description, capabilities, skills, supportedInterfaces, url, preferredTransport, securitySchemes } = parsed.data;
  const known = (supportedInterfaces ?? []).find((each) => bindings[each.protocolBinding] !== undefined);
  const legacy = supportedInterfaces === undefined;
  const where = known?.url ?? url;
  if (where === undefined) return { problem: 'the card names no interface with a binding that is known (JSONRPC, HTTP+JSON, GRPC)' };
  const binding = bindings[known?.protocolBinding ?? preferredTransport ?? 'JSONRPC'] ?? 'json-rpc';
  const component = scenarioName(name);
  const questions: Question[] = [
    {
      about: component,
      text: `How much load may ${name} be given? maxRate and maxConcurrency are set to very little until you say.`,
      place,
    },
  ];
  const schemes = Object.keys(securitySchemes);
  if (schemes.length > 0)
    questions.push({
      about: component,
      text: `${name} asks for credentials (${schemes.join(', ')}): which environment variable holds them?`,
      place,
    });
  const skillNames = skills.map((skill) => skill.name ?? skill.id ?? '').filter((text) => text !== '');
  return {
    name: component,
    components: [
      {
        name: component,
        ...calledIfOther(name),
        kind: 'agent',
        description: [description, skillNames.length > 0 ? `Skills: ${skillNames.join(', ')}.` : ''].filter(Boolean).join(' '),
        mobility: 'external',
        reason: 'known by its agent card only: it belongs to somebody else',
        speaks: 'a2a',
        options: { binding, ...(legacy ? { legacy: true } : {}) },
        run: { kind: 'url', url: where },
        streams: capabilities.streaming === true,
        place,
      },
    ],
    edges: [],
    entry: component,
    models: [],
    services: [],
    questions,
  };
}
