import { hostWord, type Plan, type TracedPlace } from '../compiler/contracts/index.ts';
import { accessOf } from '../compiler/plan/access.ts';
import { digestTraces } from '../profiler/analyze/digest.ts';

/**
 * Places that traces show to be called and no member of a plan declares: to be approved by the user, never allowed by
 * themselves. Calls from one traced service to another are none.
 * @throws DmasError DMAS_TRACES_EMPTY when no span could be read
 */
export async function undeclaredPlaces(plan: Plan, files: readonly string[], seed: number): Promise<readonly TracedPlace[]> {
  const inputs = files.map((path) => ({ kind: 'file' as const, path }));
  const digest = await digestTraces(inputs, {}, { signal: new AbortController().signal, seed });
  const declared = new Set(accessOf(plan).members.flatMap(({ hosts }) => hosts.map(hostWord)));
  return (digest.outside ?? []).filter(({ place }) => !declared.has(place));
}

/** Lines for people: what was seen, and what allows it. */
export function undeclaredLines(places: readonly TracedPlace[]): string[] {
  if (places.length === 0) return ['Every place outside that the traces show is declared.', ''];
  return [
    'Places outside that the traces show and nobody declares; each stays closed until you write it under rights.hosts',
    ...places.map(({ by, place, calls }) => `  ${by} -> ${place} (${calls} ${calls === 1 ? 'call' : 'calls'})`),
    '',
  ];
}
