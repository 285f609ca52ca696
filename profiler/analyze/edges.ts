import type { EdgeProfile } from '../../compiler/contracts/profile.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { distribution } from './distribution.ts';
import { amount, ingressComponent, isOneWay, label } from './node.ts';
import type { Visit } from './visits.ts';

/** Cost of each caller→callee pair per call. The hop from the ingress is the ingress's, not an edge of the workflow. */
export function edgeProfiles(visits: readonly (readonly Visit[])[], requests: number): { [edge: string]: EdgeProfile } {
  const byEdge = new Map<string, Visit[]>();
  for (const visit of visits.flat()) {
    const from = label(visit.call, attr.from);
    if (from === undefined || from === ingressComponent) continue;
    const key = `${from}->${visit.component}`;
    const calls = byEdge.get(key) ?? [];
    byEdge.set(key, calls);
    calls.push(visit);
  }
  const edges = [...byEdge].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(edges.map(([key, calls]) => [key, edgeProfile(calls, requests)]));
}

function edgeProfile(calls: readonly Visit[], requests: number): EdgeProfile {
  // A failed attempt says nothing about the size and time of a hop.
  const whole = calls.filter((visit) => visit.call.span.ok);
  const amounts = (name: string) => distribution(whole.map((visit) => amount(visit.call, name)));
  return {
    channel: mostCommon(calls.map((visit) => label(visit.call, attr.channel) ?? '')),
    callsPerRequest: calls.length / requests,
    requestBytes: amounts(attr.requestBytes),
    responseBytes: amounts(attr.responseBytes),
    protocol: mostCommon((whole.length > 0 ? whole : calls).map((visit) => label(visit.call, attr.rpcSystem) ?? 'inproc')),
    serializeMs: distribution(whole.map(serializeMsOf)),
    transportMs: distribution(whole.map(transportMsOf)),
  };
}

/** Encoding and decoding on both sides. */
export const serializeMsOf = (visit: Visit): number => amount(visit.call, attr.serializeMs) + amount(visit.serve, attr.serializeMs);

/**
 * Client duration minus server duration minus encoding. In-process there is no wire: 0. A one-way message is handled
 * after it was accepted, so its server side is no part of what the caller waited for.
 */
export function transportMsOf(visit: Visit): number {
  if (!visit.serve) return 0;
  const handledMs = isOneWay(visit.call) ? 0 : visit.serve.span.durationMs;
  return Math.max(0, visit.call.span.durationMs - handledMs - serializeMsOf(visit));
}

function mostCommon(values: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}
