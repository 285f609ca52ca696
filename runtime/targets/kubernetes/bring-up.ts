import { setTimeout as sleep } from 'node:timers/promises';
import { DmasError, fail, type StageContext } from '../../../compiler/contracts/index.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { type Explanation, explainNoPod, explainPod, type KubernetesEvent } from './explain.ts';
import { type Condition, isReady, isRunning, type Pod } from './pods.ts';
import { collectionPath } from './resources.ts';
import type { ObjectView } from './watch.ts';

/** A group of pods that one object makes. */
export interface Expected {
  /** For messages: `unit a+b`. */
  readonly name: string;
  readonly replicas: number;
  /** Name of the Deployment or Job. */
  readonly maker: string;
  /** Built by somebody else: it may end and come again while its neighbours start. */
  readonly foreign: boolean;
  readonly owns: (pod: KubernetesObject) => boolean;
}

export interface Patience {
  /** From the moment at which all its containers run until a pod is ready, in milliseconds. */
  readonly readyMs: number;
  /** Until they run: finding nodes, pulling images. */
  readonly startMs: number;
}

/** At most this long after a change nobody told us of (a deadline), it is looked again. */
const lookEveryMs = 500;

/**
 * Waits until every pod is ready.
 * @throws DmasError DMAS_DEPLOY_FAILED with why one is not and the end of its log; DMAS_INTERRUPTED on abort
 */
export async function untilReady(
  cluster: Cluster,
  pods: ObjectView,
  makers: ObjectView,
  expected: readonly Expected[],
  patience: Patience,
  context: Pick<StageContext, 'signal'>,
): Promise<void> {
  const startedAt = Date.now();
  let ranAt: number | undefined;
  for (;;) {
    if (context.signal.aborted) throw interrupted(context.signal.reason);
    const waiting = expected.filter(({ owns, replicas }) => podsOf(pods, owns).filter(isReady).length < replicas);
    if (waiting.length === 0) return;
    for (const one of waiting) {
      const found = whyNot(pods, makers, one, []);
      if (found.explanation?.final) await refuse(cluster, one, found.pod, found.explanation);
    }
    const allRun = waiting.every(({ owns, replicas }) => podsOf(pods, owns).filter(isRunning).length >= replicas);
    if (!allRun) ranAt = undefined;
    else ranAt ??= Date.now();
    const late = ranAt === undefined ? Date.now() - startedAt > patience.startMs : Date.now() - ranAt > patience.readyMs;
    if (late) {
      await giveUp(cluster, pods, makers, waiting, ranAt === undefined ? patience.startMs : patience.readyMs);
    }
    await changeOrPause(pods, makers, context.signal);
  }
}

const podsOf = (pods: ObjectView, owns: Expected['owns']): Pod[] =>
  pods.objects.filter((pod) => pod.metadata.deletionTimestamp === undefined && owns(pod)) as Pod[];

interface Reason {
  readonly pod: Pod | null;
  readonly explanation: Explanation | null;
}

function whyNot(pods: ObjectView, makers: ObjectView, one: Expected, events: readonly KubernetesEvent[]): Reason {
  const present = podsOf(pods, one.owns).filter((pod) => !isReady(pod));
  const reasons = present.map((pod): Reason => {
    const about = events.filter((event) => involved(event) === pod.metadata.name);
    return { pod, explanation: explainPod(pod, about, one.foreign) };
  });
  const best = reasons.find(({ explanation }) => explanation?.final) ?? reasons.find(({ explanation }) => explanation !== null);
  if (best !== undefined) return best;
  // Some pods may be there and others refused, by a quota that has room for the first.
  const refused = podsOf(pods, one.owns).length < one.replicas ? whyNone(makers, one, events) : null;
  return refused === null && reasons[0] !== undefined ? reasons[0] : { pod: null, explanation: refused };
}

function whyNone(makers: ObjectView, { maker }: Expected, events: readonly KubernetesEvent[]): Explanation | null {
  const found = makers.objects.find(({ metadata }) => metadata.name === maker);
  const conditions = (found?.status as { readonly conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
  const about = events.filter((event) => involved(event).startsWith(maker));
  return explainNoPod(conditions, about);
}

const involved = (event: KubernetesEvent): string => (event.involvedObject as { readonly name?: string } | undefined)?.name ?? '';

async function giveUp(
  cluster: Cluster,
  pods: ObjectView,
  makers: ObjectView,
  waiting: readonly Expected[],
  waitedMs: number,
): Promise<void> {
  const events = await cluster
    .ask<{ readonly items: readonly KubernetesEvent[] }>('GET', collectionPath(cluster, 'v1/Event'), { query: { limit: 500 } })
    .then(({ items }) => items)
    // Who may not read events is told what the pod itself says.
    .catch(() => []);
  // Most of those that wait do so for a neighbour: the one to name is the one of which more than that is known.
  const known = waiting.find((each) => whyNot(pods, makers, each, []).explanation !== null);
  const one = known ?? waiting[0];
  if (one === undefined) return;
  const { explanation, pod } = whyNot(pods, makers, one, events);
  const late = `was not ready within ${waitedMs} ms`;
  const why = explanation ? `${late}: ${explanation.why}` : pod ? late : `${late}: no pod was made`;
  await refuse(cluster, one, pod, { why, fix: explanation?.fix ?? 'See the log of the unit.', final: true });
}

const tailLines = 20;

async function refuse(cluster: Cluster, { name }: Expected, pod: Pod | null, { why, fix }: Explanation): Promise<never> {
  const tail = pod === null ? '' : await podLog(cluster, pod.metadata.name, { tailLines });
  const ends = tail.trim() === '' ? '' : ` Its log ends with:\n${tail.trimEnd()}`;
  fail('DMAS_DEPLOY_FAILED', `${name} did not start: ${why}.${ends}`, { fix });
}

/** The log of a pod, of the run before where the present one has none; empty when there is none. */
export async function podLog(cluster: Cluster, pod: string, query: { readonly [name: string]: string | number }): Promise<string> {
  const path = `${collectionPath(cluster, 'v1/Pod')}/${encodeURIComponent(pod)}/log`;
  const now = await cluster.text(path, { query }).catch(() => '');
  if (now.trim() !== '') return now;
  return cluster.text(path, { query: { ...query, previous: true } }).catch(() => '');
}

function changeOrPause(pods: ObjectView, makers: ObjectView, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const pause = new AbortController();
    const go = () => {
      for (const stop of stops) stop();
      signal.removeEventListener('abort', go);
      pause.abort();
      resolve();
    };
    const stops = [pods.onChange(go), makers.onChange(go)];
    signal.addEventListener('abort', go, { once: true });
    if (signal.aborted) go();
    sleep(lookEveryMs, undefined, { signal: pause.signal }).then(go, () => {});
  });
}

export const interrupted = (cause: unknown): DmasError =>
  new DmasError({ code: 'DMAS_INTERRUPTED', severity: 'error', message: 'The deployment was interrupted.' }, { cause });
