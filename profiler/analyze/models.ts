import type { ModelProfile } from '../../compiler/contracts/profile.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { distribution } from './distribution.ts';
import { amount, label, type TraceNode } from './node.ts';
import { agentOf, poolUse } from './pool-use.ts';
import type { RequestTrace } from './tree.ts';

/** Load per logical model. Failed calls count as calls; their tokens and times are left out. */
export function modelProfiles(requests: readonly RequestTrace[], count: number): { [model: string]: ModelProfile } {
  const byModel = new Map<string, TraceNode[]>();
  for (const node of requests.flatMap((request) => request.nodes)) {
    if (node.role !== 'chat') continue;
    const model = modelOf(node);
    const calls = byModel.get(model) ?? [];
    byModel.set(model, calls);
    calls.push(node);
  }
  return Object.fromEntries(
    [...byModel].sort(([a], [b]) => (a < b ? -1 : 1)).map(([model, calls]) => [model, modelProfile(model, calls, count)]),
  );
}

export const modelOf = (node: TraceNode): string => label(node, attr.requestModel) ?? node.span.name.slice('chat '.length);

/** How long the model took: the wait for the limits of its provider came before. */
export const modelMs = (call: TraceNode): number => Math.max(0, call.span.durationMs - amount(call, attr.limitMs));

function troubles(calls: readonly TraceNode[], requests: number): Pick<ModelProfile, 'retriesPerRequest' | 'faultsPerRequest'> {
  const retries = calls.reduce((sum, call) => sum + Math.max(0, amount(call, attr.attempt) - 1), 0);
  const faults = new Map<string, number>();
  const count = (fault: string) => faults.set(fault, (faults.get(fault) ?? 0) + 1 / requests);
  for (const call of calls) {
    if (!call.span.ok) count(label(call, attr.modelFault) ?? label(call, attr.errorType) ?? 'failed');
    if (amount(call, attr.badToolCalls) > 0) count('badToolCall');
  }
  return {
    ...(retries === 0 ? {} : { retriesPerRequest: retries / requests }),
    ...(faults.size === 0 ? {} : { faultsPerRequest: Object.fromEntries([...faults].sort(([a], [b]) => (a < b ? -1 : 1))) }),
  };
}

function modelProfile(model: string, calls: readonly TraceNode[], requests: number): ModelProfile {
  const whole = calls.filter((call) => call.span.ok);
  const amounts = (name: string) => distribution(whole.map((call) => amount(call, name)));
  const byAgent = new Map<string, TraceNode[]>();
  for (const call of calls) {
    const agent = agentOf(call);
    byAgent.set(agent, [...(byAgent.get(agent) ?? []), call]);
  }
  return {
    byPool: poolUse(model, calls, requests),
    callsPerRequest: calls.length / requests,
    tokensIn: amounts(attr.tokensIn),
    tokensCached: amounts(attr.tokensCached),
    tokensOut: amounts(attr.tokensOut),
    latencyMs: distribution(whole.map(modelMs)),
    firstChunkMs: distribution(
      whole.filter((call) => attr.timeToFirstChunkS in call.span.attributes).map((call) => amount(call, attr.timeToFirstChunkS) * 1000),
    ),
    queueMs: amounts(attr.queueMs),
    ...(calls.some((call) => attr.limitMs in call.span.attributes)
      ? { limitMs: distribution(calls.map((call) => amount(call, attr.limitMs))) }
      : {}),
    ...troubles(calls, requests),
    byAgent: Object.fromEntries(
      [...byAgent]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([agent, mine]) => {
          const done = mine.filter((call) => call.span.ok);
          const sum = (name: string) => done.reduce((total, call) => total + amount(call, name), 0);
          const spentMs = done.reduce((total, call) => total + modelMs(call), 0);
          const calls = {
            callsPerRequest: mine.length / requests,
            tokensIn: done.length > 0 ? sum(attr.tokensIn) / done.length : 0,
            tokensOut: done.length > 0 ? sum(attr.tokensOut) / done.length : 0,
            queueShare: spentMs > 0 ? Math.min(1, sum(attr.queueMs) / spentMs) : 0,
          };
          return [agent, calls];
        }),
    ),
  };
}
