import { type AgentUse, attr, type PoolUse } from '../../compiler/contracts/index.ts';
import { amount, label, type TraceNode } from './node.ts';

/** The agent whose turn made a call. */
export function agentOf(call: TraceNode): string {
  for (let node = call.parent; node !== null; node = node.parent) {
    if (node.role === 'agent') return label(node, attr.agentName) ?? node.span.name.slice('invoke_agent '.length);
  }
  return label(call, attr.agentName) ?? 'unknown';
}

/** Calls of one model by pool and agent. What names no pool went where everybody's calls of that model go. */
export function poolUse(model: string, calls: readonly TraceNode[], requests: number): { readonly [pool: string]: PoolUse } {
  const pools = new Map<string, TraceNode[]>();
  for (const call of calls) {
    const pool = label(call, attr.pool) ?? model;
    const own = pools.get(pool);
    if (own === undefined) pools.set(pool, [call]);
    else own.push(call);
  }
  return Object.fromEntries(
    sorted(pools).map(([pool, own]) => [pool, { callsPerRequest: own.length / requests, byAgent: agentUses(own, requests) }]),
  );
}

/** Calls by the agent that made them, per request of the application. Only whole calls have tokens and times. */
function agentUses(calls: readonly TraceNode[], requests: number): { readonly [agent: string]: AgentUse } {
  const agents = new Map<string, TraceNode[]>();
  for (const call of calls) {
    const agent = agentOf(call);
    const mine = agents.get(agent);
    if (mine === undefined) agents.set(agent, [call]);
    else mine.push(call);
  }
  return Object.fromEntries(
    sorted(agents).map(([agent, mine]) => {
      const done = mine.filter((call) => call.span.ok);
      const perRequest = (of: (call: TraceNode) => number) => done.reduce((sum, call) => sum + of(call), 0) / requests;
      const use: AgentUse = {
        callsPerRequest: mine.length / requests,
        tokensIn: perRequest((call) => amount(call, attr.tokensIn)),
        tokensCached: perRequest((call) => amount(call, attr.tokensCached)),
        tokensOut: perRequest((call) => amount(call, attr.tokensOut)),
        // What a declared quota held back before the call was sent was no pool's doing.
        waitMs: perRequest((call) => Math.max(0, call.span.durationMs - amount(call, attr.limitMs))),
        queueMs: perRequest((call) => amount(call, attr.queueMs)),
        firstChunkMs: perRequest((call) => amount(call, attr.timeToFirstChunkS) * 1000),
      };
      return [agent, use];
    }),
  );
}

const sorted = <Value>(map: ReadonlyMap<string, Value>): [string, Value][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
