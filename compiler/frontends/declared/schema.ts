import { z } from 'zod';

const literal = z.union([z.string(), z.number(), z.boolean()]);
const name = z.string().regex(/^[a-z][a-z0-9-]*$/, 'a name of lower-case letters, digits and dashes');
const toolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'at most 64 letters, digits, dashes and underscores');
/** Any JSON Schema; `{}` takes everything. */
const jsonSchema = z.record(z.string(), z.json()).default({});
const effect = z.enum(['readOnly', 'idempotent', 'sideEffect']);

const spoken = { speaks: name.default('http-json'), options: z.record(z.string(), literal).default({}) };
const limits = {
  /** Calls one replica handles at a time. */
  concurrency: z.int().positive().default(64),
  domains: z.array(z.string()).default([]),
  /** Places outside it calls, `host:port`. */
  hosts: z.array(z.string()).optional(),
};

const agent = z.strictObject({
  description: z.string().optional(),
  input: jsonSchema,
  output: jsonSchema,
  calls: z.array(name).default([]),
  tools: z.array(toolName).default([]),
  effect: effect.default('idempotent'),
  streams: z.boolean().default(false),
  usesSession: z.boolean().default(false),
  ...spoken,
  ...limits,
});

const tool = z.strictObject({
  description: z.string().optional(),
  effect: effect.default('sideEffect'),
  input: jsonSchema,
  output: jsonSchema,
  hosts: z.array(z.string()).optional(),
});

const toolServer = z.strictObject({
  tools: z.record(toolName, tool).default({}),
  /** Its tools are asked for at run time. */
  discovers: z.boolean().default(false),
  ...spoken,
  ...limits,
});

/** The file `workflow: ./workflow.yaml` names. */
export const declaredSchema = z.strictObject({
  name: name.optional(),
  agents: z.record(name, agent).default({}),
  toolServers: z.record(name, toolServer).default({}),
  entry: name,
});

export type DeclaredWorkflow = z.output<typeof declaredSchema>;
