import type { AgentContext, AgentRef, CallOptions, KeyValue, TopicRef } from '../../compiler/api/definitions.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import type { Pattern } from '../../compiler/contracts/workflow.ts';
import type { AgentTurn } from './agent-turn.ts';
import { ownCancellation } from './cancellation.ts';
import type { Delivery } from './delivery.ts';
import { discoverTools, useServerTool } from './discovery.ts';
import { hop } from './hop.ts';
import type { Runtime } from './runtime.ts';
import type { Scope } from './scope.ts';
import { streamOf } from './stream.ts';
import { useTool } from './tools.ts';

/** What an agent said it uses. The rest is refused the same way in every layout, since the compiler knows no channel for it. */
export interface Declared {
  readonly calls: ReadonlySet<string>;
  readonly tools: ReadonlySet<string>;
  readonly toolServers: ReadonlySet<string>;
  readonly publishes: ReadonlySet<string>;
  readonly blackboards: ReadonlySet<string>;
  readonly session: boolean;
}

/** The context of one turn of an agent. Plain functions, so that handlers may take it apart. */
export function createContext(runtime: Runtime, agent: string, declared: Declared, turn: AgentTurn): AgentContext {
  const { cancellation } = turn.scope;
  // Topic messages of this turn come one after another: each knows of those before.
  let { clock } = turn.scope;
  // Inside a span of the handler's own, calls belong under that span.
  const scopeHere = (): Scope => ({ ...turn.scope, clock, trace: runtime.tracing.here(turn.scope.trace) });
  const message = (to: AgentRef, pattern: Pattern, body: unknown, scope: Scope): Delivery => {
    require(declared.calls, to.name, agent, 'calls');
    return { from: agent, to: to.name, channel: `${agent}->${to.name}`, pattern, body, scope };
  };
  let session: KeyValue | undefined;
  return {
    get signal() {
      return cancellation.signal;
    },
    requestId: turn.scope.requestId,
    sessionId: turn.scope.sessionId,
    remainingMs: () => cancellation.remainingMs(),
    call: async (to, input, options) =>
      withTimeout(scopeHere(), options, (scope) => hop(runtime, message(to, 'request', input, scope))) as never,
    stream: (to, input, options) =>
      streamOf(scopeHere(), options?.timeoutMs, (scope, emit) => hop(runtime, { ...message(to, 'stream', input, scope), emit })) as never,
    send: async (to, input) => void (await hop(runtime, message(to, 'send', input, scopeHere()))),
    publish: async (topic: TopicRef, body: unknown) => {
      require(declared.publishes, topic.name, agent, 'publishes');
      clock = await runtime.topics.publish(agent, topic, body, scopeHere());
    },
    tool: async (ref, input) => {
      require(declared.tools, ref.name, agent, 'tools');
      return useTool(runtime, agent, ref, input, scopeHere()) as never;
    },
    pause: (prompt, id) => turn.pause(prompt, id),
    resume: turn.scope.resume ?? {},
    discover: async (server) => {
      require(declared.toolServers, server.name, agent, 'toolServers');
      return discoverTools(runtime, agent, server, scopeHere());
    },
    toolNamed: async (server, name, input) => {
      require(declared.toolServers, server.name, agent, 'toolServers');
      const scope = scopeHere();
      const known = (await discoverTools(runtime, agent, server, scope)).find((tool) => tool.name === name);
      if (known === undefined) {
        throw new CallError({ code: 'unknown', message: `${server.name} has no tool ${name}`, component: server.name, neverStarted: true });
      }
      return useServerTool(runtime, agent, server, known, input, scope);
    },
    get session() {
      if (!declared.session) throw undeclared(agent, 'session state', 'usesSession');
      session ??= runtime.state.session(agent, turn.scope.sessionId);
      return session;
    },
    blackboard: (board) => {
      require(declared.blackboards, board.name, agent, 'blackboards');
      return runtime.state.blackboard(board, agent) as never;
    },
    emit: (chunk) => turn.emit?.(chunk),
    log: (text) => void process.stderr.write(`${JSON.stringify({ agent, requestId: turn.scope.requestId, message: text })}\n`),
  };
}

async function withTimeout<T>(scope: Scope, options: CallOptions | undefined, work: (scope: Scope) => Promise<T>): Promise<T> {
  if (options?.timeoutMs === undefined) return work(scope);
  const own = ownCancellation(options.timeoutMs, scope.cancellation);
  try {
    return await own.cancellation.race(work({ ...scope, cancellation: own.cancellation }));
  } finally {
    own.close();
  }
}

function require(declared: ReadonlySet<string>, name: string, agent: string, option: keyof Declared): void {
  if (!declared.has(name)) throw undeclared(agent, name, option);
}

const undeclared = (agent: string, what: string, option: string) =>
  new CallError({ code: 'unknown', message: `${agent} uses ${what} without declaring it in its option ${option}`, component: agent });
