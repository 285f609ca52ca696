import type { ScenarioConfig } from '../../scenarios/schema.ts';
import type { Agent, Effect, EffectMode, EffectPolicy, Json, Workflow } from '../contracts/index.ts';

/** How one tool or external agent is answered in a study, and why. */
export interface EffectDecision {
  readonly name: string;
  readonly kind: 'tool' | 'tool server' | 'external agent' | 'agent elsewhere';
  readonly effect: Effect;
  readonly mode: EffectMode;
  readonly why: string;
}

export interface EffectInput {
  readonly workflow: Workflow;
  readonly config: Pick<ScenarioConfig, 'workload' | 'replay' | 'record'>;
  /** Names of tools and agents the cassette has replies of; empty without one. */
  readonly recorded: ReadonlySet<string>;
}

/**
 * What happens to every call that leaves the application or that may change the world. Nothing with side effects runs unless
 * it is allowed by name; who does not say what it does is taken to have side effects.
 */
export function decideEffects({ workflow, config, recorded }: EffectInput): readonly EffectDecision[] {
  const allowed = new Set(config.workload.allowSideEffects);
  const wanted = new Set(config.replay?.components ?? []);
  const canReplay = config.replay !== undefined;

  const decide = (name: string, effect: Effect, stub: string | null): Pick<EffectDecision, 'mode' | 'why'> => {
    if (wanted.has(name) && recorded.has(name)) return { mode: 'tape', why: 'named in replay.components' };
    if (wanted.has(name)) return { mode: 'blocked', why: 'named in replay.components, but the cassette has nothing of it' };
    if (effect !== 'sideEffect') return { mode: 'live', why: `declared ${effect}` };
    if (allowed.has(name)) return { mode: 'live', why: 'side effects allowed by name in workload.allowSideEffects' };
    if (canReplay && recorded.has(name)) return { mode: 'tape', why: 'has side effects nobody allowed; the cassette has its replies' };
    if (stub !== null) return { mode: 'stub', why: `has side effects nobody allowed; ${stub}` };
    return {
      mode: 'blocked',
      why: 'has side effects, or does not say that it has none, and nobody allowed it; nothing is known of its answers',
    };
  };

  const tools = workflow.tools.map(({ name, effect }): EffectDecision => {
    const stub = 'answered by a made-up value of its output schema';
    return { name, kind: 'tool', effect, ...decide(name, effect, stub) };
  });
  const discovering = workflow.toolServers
    .filter((server) => server.discovers)
    .map(({ name }): EffectDecision => {
      const open = allowed.has(name);
      const why = open
        ? 'all its tools are allowed in workload.allowSideEffects'
        : 'its tools are known at run time alone: those it calls read-only or idempotent run, the others are answered by a made-up value';
      return { name, kind: 'tool server', effect: 'sideEffect', mode: 'live', why };
    });
  const agents = workflow.agents
    .filter((agent) => agent.mobility === 'external')
    .map(({ name, effect, output }): EffectDecision => {
      const stub = saysSomething(output) ? 'answered by a made-up value of its output schema' : null;
      return { name, kind: 'external agent', effect, ...decide(name, effect, stub) };
    });
  const elsewhere = workflow.agents
    .filter((agent) => agent.elsewhere !== undefined && agent.mobility !== 'external')
    .map(({ name, effect }): EffectDecision => {
      const why = 'runs as its owner built it, as a part of the application; what its own tools do cannot be seen';
      const live = { mode: 'live' as const, why };
      return { name, kind: 'agent elsewhere', effect, ...(wanted.has(name) ? decide(name, effect, null) : live) };
    });
  return [...tools, ...discovering, ...agents, ...elsewhere];
}

/** What units are told. `stubbedTools` is the older, shorter way to say the same of our own tools. */
export function effectPolicy(input: EffectInput): { readonly policy: EffectPolicy; readonly stubbedTools: readonly string[] } {
  const decisions = decideEffects(input);
  const allowed = new Set(input.config.workload.allowSideEffects);
  const modes = Object.fromEntries(decisions.filter(({ kind }) => kind !== 'tool server').map(({ name, mode }) => [name, mode]));
  const outputs: { [name: string]: Json } = {};
  const { agents, tools, toolServers } = input.workflow;
  const outside = [...agents, ...toolServers].filter(isOutside).map(({ name }) => name);
  const foreign = [...agents.filter(isOutside), ...tools.filter(({ server }) => server !== undefined && outside.includes(server))];
  for (const { name, output } of foreign) if (modes[name] === 'stub') outputs[name] = output;
  return {
    policy: {
      // Names nobody knows yet may be found at run time; a server allowed by name answers for all its tools.
      modes: { ...Object.fromEntries([...allowed].map((name) => [name, 'live' as const])), ...modes },
      outside,
      discovered: { readOnly: 'live', idempotent: 'live', sideEffect: 'stub' },
      outputs,
      ignore: input.config.record.ignore,
    },
    stubbedTools: decisions.filter(({ kind, mode }) => kind === 'tool' && mode === 'stub').map(({ name }) => name),
  };
}

const isOutside = ({ mobility, elsewhere }: Pick<Agent, 'mobility' | 'elsewhere'>) => elsewhere !== undefined || mobility === 'external';

/** A schema that only says "anything" gives no answer to make up. */
const saysSomething = (schema: { readonly [key: string]: unknown }) =>
  ['type', 'properties', 'anyOf', 'oneOf', 'enum', '$ref'].some((key) => key in schema);
