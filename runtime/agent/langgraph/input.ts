import { z } from 'zod';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { CompiledGraph, RunConfig } from '../../../compiler/frontends/langgraph/fields.ts';

/** Stream modes a client may ask for. */
const modes = ['values', 'updates', 'messages', 'custom', 'debug', 'tasks', 'checkpoints'] as const;
export type StreamMode = (typeof modes)[number];

const mode = z.union([z.enum(modes), z.literal('messages-tuple').transform((): StreamMode => 'messages')]);

/** A run as LangGraph's own server is asked for one, as far as it makes sense here. Other members are ignored. */
const runRequest = z.object({
  input: z.unknown().optional(),
  command: z.object({ resume: z.unknown().optional(), update: z.unknown().optional(), goto: z.unknown().optional() }).optional(),
  config: z
    .object({
      configurable: z.record(z.string(), z.unknown()).optional(),
      tags: z.array(z.string()).optional(),
      recursion_limit: z.int().positive().optional(),
    })
    .optional(),
  context: z.record(z.string(), z.unknown()).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  stream_mode: z.union([mode, z.array(mode)]).optional(),
});

/** What a request asks of the graph. */
export interface Asked {
  readonly input: unknown;
  readonly command?: object;
  readonly config: RunConfig;
  readonly modes: readonly StreamMode[];
}

const members = new Set([
  ...Object.keys(runRequest.shape),
  'assistant_id',
  'thread_id',
  'stream_subgraphs',
  'multitask_strategy',
  'on_disconnect',
  'webhook',
]);

/**
 * The request's body is the graph's input; or, where it could not be that, a run as LangGraph's server takes it: an object with
 * `input` or `command` and nothing but members of such a run, in a graph whose state has none of these names.
 *
 * @throws CallError `invalid`
 */
export function readRequest(body: unknown, graph: CompiledGraph): Asked {
  const plain: Asked = { input: body, config: {}, modes: ['messages', 'custom'] };
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return plain;
  const keys = Object.keys(body);
  const isRun = ('input' in body || 'command' in body) && keys.every((key) => members.has(key) && !(key in graph.channels));
  if (!isRun) return plain;
  const parsed = runRequest.safeParse(body);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new CallError({ code: 'invalid', message: `the run asked for is not valid: ${lines.join('; ')}` });
  }
  const { input, command, config = {}, context, metadata, stream_mode: streamMode } = parsed.data;
  return {
    input: input ?? null,
    ...(command === undefined ? {} : { command }),
    config: {
      ...(config.configurable === undefined ? {} : { configurable: withoutThread(config.configurable) }),
      ...(config.tags === undefined ? {} : { tags: config.tags }),
      ...(config.recursion_limit === undefined ? {} : { recursionLimit: config.recursion_limit }),
      ...(context === undefined ? {} : { context }),
      ...(metadata === undefined ? {} : { metadata }),
    },
    modes: streamMode === undefined ? plain.modes : [streamMode].flat(),
  };
}

/** The thread is the session: it decides to which replica a request goes, so it is not the body's to choose. */
const withoutThread = ({ thread_id: _, ...rest }: { readonly [key: string]: unknown }) => rest;
