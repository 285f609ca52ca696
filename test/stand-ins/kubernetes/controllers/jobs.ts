import type { V1JobSpec } from '@kubernetes/client-node';
import { remove } from '../api/remove.ts';
import { tellEvent, writeStatus } from '../api/system.ts';
import { builtInKind, type World } from '../api/world.ts';
import { suffix } from '../api/write.ts';
import { as, type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';
import { condition } from './deployments.ts';
import { podOf, podsOf, tryCreatePod } from './replicas.ts';

const phase = (pod: KubeObject) => textAt(pod, 'status', 'phase');

/** Jobs: pods until enough of them ended well, or too many badly. */
export function jobs(world: World): void {
  for (const job of world.store.list(builtInKind('Job'))) {
    if (job.metadata.deletionTimestamp !== undefined) continue;
    const ended = objectsAt(job, 'status', 'conditions').some(
      ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
    );
    if (ended) expire(world, job);
    else work(world, job);
  }
}

function work(world: World, job: KubeObject): void {
  const spec = as<V1JobSpec>(job.spec);
  const pods = podsOf(world, job);
  const live = pods.filter((pod) => !['Succeeded', 'Failed'].includes(phase(pod) ?? '') && pod.metadata.deletionTimestamp === undefined);
  const succeeded = pods.filter((pod) => phase(pod) === 'Succeeded').length;
  const failed = pods.filter((pod) => phase(pod) === 'Failed').length;
  const restarts = live
    .flatMap((pod) => objectsAt(pod, 'status', 'containerStatuses'))
    .reduce((sum, { restartCount }) => sum + Number(restartCount), 0);
  const started = textAt(job, 'status', 'startTime') ?? now();
  const status: JsonObject = {
    startTime: started,
    active: live.length,
    succeeded,
    failed,
    ready: live.filter((pod) => objectsAt(pod, 'status', 'conditions').some(({ type, status: is }) => type === 'Ready' && is === 'True'))
      .length,
    terminating: 0,
    uncountedTerminatedPods: {},
  };
  const limit = spec.activeDeadlineSeconds;
  const late = limit !== undefined && Date.now() - Date.parse(started) > limit * 1000;
  const wanted = spec.completions ?? 1;
  if (succeeded >= wanted) finish(world, job, status, 'Complete', 'CompletionsReached', 'Reached expected number of succeeded pods');
  else if (late || failed + restarts > (spec.backoffLimit ?? 6)) {
    for (const pod of live) remove(world, builtInKind('Pod'), pod, { propagation: 'Background', graceSeconds: null });
    const [reason, words] = late
      ? ['DeadlineExceeded', 'Job was active longer than specified deadline']
      : ['BackoffLimitExceeded', 'Job has reached the specified backoff limit'];
    finish(world, job, { ...status, active: 0, ready: 0 }, 'Failed', reason, words);
  } else {
    const missing = spec.suspend === true ? 0 : Math.min(spec.parallelism ?? 1, wanted - succeeded) - live.length;
    for (let index = 0; index < missing; index += 1) {
      if (tryCreatePod(world, job, podOf(job, spec.template, `${job.metadata.name}-${suffix()}`), 'job-controller') !== null) break;
    }
    writeStatus(world, job, { ...status, active: live.length + Math.max(0, missing) });
  }
}

function finish(world: World, job: KubeObject, status: JsonObject, type: 'Complete' | 'Failed', reason: string, message: string): void {
  const made = (kind: string): JsonObject => {
    const { lastUpdateTime: _unused, ...rest } = condition(job, kind, true, reason, message);
    return { ...rest, lastProbeTime: now() };
  };
  const first = type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
  writeStatus(world, job, { ...status, ...(type === 'Complete' ? { completionTime: now() } : {}), conditions: [made(first), made(type)] });
  tellEvent(
    world,
    job,
    type === 'Complete' ? 'Normal' : 'Warning',
    type === 'Complete' ? 'Completed' : reason,
    type === 'Complete' ? 'Job completed' : message,
    'job-controller',
  );
}

function expire(world: World, job: KubeObject): void {
  const seconds = objectAt(job, 'spec').ttlSecondsAfterFinished;
  const ended = objectsAt(job, 'status', 'conditions').find(({ type }) => type === 'Complete' || type === 'Failed');
  const since = textAt(ended, 'lastTransitionTime');
  if (typeof seconds !== 'number' || since === undefined || Date.now() - Date.parse(since) < seconds * 1000) return;
  remove(world, builtInKind('Job'), job, { propagation: 'Foreground', graceSeconds: null });
}
