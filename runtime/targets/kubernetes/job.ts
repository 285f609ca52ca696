import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { bundleJob } from '../../../compiler/bundle.ts';
import { DmasError, fail, type StageContext } from '../../../compiler/contracts/index.ts';
import { DeadlineExceeded, deadline } from '../supervise/deadline.ts';
import { failOnDisk } from '../supervise/disk.ts';
import { fileName } from '../supervise/members.ts';
import type { Job } from '../target.ts';
import { applyObject, readObject, removeObject } from './apply.ts';
import { interrupted, podLog } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { filesAsConfigMaps } from './code.ts';
import { helperNeeds } from './demand.ts';
import { explainNoPod, explainPod } from './explain.ts';
import { helperPodSpec } from './helper-pod.ts';
import { type JobFiles, type JobOutcome, jobPort } from './inside/job.ts';
import { labels, labelValue, objectName, selectorOf } from './labels.ts';
import { helperOptions, type KubernetesOptions } from './options.ts';
import { type Condition, endOf, endText, isReady, type Pod } from './pods.ts';
import { ownership } from './record.ts';
import { objectPath } from './resources.ts';
import { removeAndWait } from './tear-down.ts';
import { send } from './traces.ts';
import { openTunnel } from './tunnel.ts';
import { ObjectView } from './watch.ts';

export const jobRole = 'job';
/** How often the caller's wish to stop is looked for. */
const watchFilesMs = 100;
const askAgainMs = 500;
/** Beyond the time the job has, for its pod to come and go. */
const graceSeconds = 60;

/**
 * Runs a bundled program in the cluster, to its end: near what it drives, so that no tunnel is in the way. Files it writes
 * are fetched to where the caller expects them.
 *
 * @returns its last line of output, parsed as JSON
 * @throws DmasError DMAS_JOB_FAILED when it fails, takes too long or prints no JSON; DMAS_INTERRUPTED on abort
 */
export async function runKubernetesJob(cluster: Cluster, options: KubernetesOptions, job: Job, context: StageContext): Promise<unknown> {
  mkdirSync(job.folder, { recursive: true });
  const files: JobFiles = { writes: job.writes ?? [], watches: job.watches ?? [] };
  const asked = files.writes.length + files.watches.length > 0;
  const name = objectName(options.namePrefix, 'job', job.id, process.pid.toString(36));
  const objects = await jobObjects(name, job, files, asked, options);
  const until = deadline(job.timeoutMs, context.signal);
  const selector = selectorOf({ [labels.deployment]: labelValue(job.id), [labels.role]: jobRole });
  const pods = new ObjectView(cluster, 'v1/Pod', selector);
  try {
    until.signal.throwIfAborted();
    for (const object of objects) await applyObject(cluster, object, until.signal);
    await pods.start(until.signal);
    const outcome = asked ? await byAsking(cluster, pods, name, files, until.signal) : await byLog(cluster, pods, name, until.signal);
    if (outcome.code !== 0) throw new Error(outcome.signal === null ? `ended with code ${outcome.code}` : `ended by ${outcome.signal}`);
    return parseResult(outcome.lastLine);
  } catch (error) {
    if (context.signal.aborted) throw interrupted(error);
    failOnDisk(error);
    if (error instanceof DmasError) throw error;
    const what = until.signal.reason instanceof DeadlineExceeded ? `did not end within ${job.timeoutMs} ms` : (error as Error).message;
    const [pod] = pods.objects;
    const tail = pod === undefined ? '' : (await podLog(cluster, pod.metadata.name, { tailLines: 20 })).trimEnd();
    fail('DMAS_JOB_FAILED', `${job.id} ${what}.${tail ? ` Its log ends with:\n${tail}` : ''}`, { cause: error });
  } finally {
    until.clear();
    const [pod] = pods.objects;
    if (pod !== undefined) {
      const log = await podLog(cluster, pod.metadata.name, {});
      writeFileSync(join(job.folder, `${fileName(job.id)}.log`), log, { mode: 0o600 });
    }
    for (const object of objects.reverse()) await removeNow(cluster, object);
    const left = pods.objects.map((one): KubernetesObject => ({ ...one, apiVersion: 'v1', kind: 'Pod' }));
    await removeAndWait(cluster, pods, left, 0, 0).catch(() => {});
    await pods.close();
  }
}

export async function jobObjects(
  name: string,
  job: Job,
  files: JobFiles,
  asked: boolean,
  options: KubernetesOptions,
): Promise<KubernetesObject[]> {
  const owned = ownership(job.id);
  const metadata = {
    labels: { ...options.labels, ...owned.labels, [labels.role]: jobRole },
    annotations: { ...options.annotations, ...owned.annotations },
  };
  const { maps, volume } = filesAsConfigMaps(name, metadata, {
    'main.mjs': await bundleJob('runtime/targets/kubernetes/inside/job-main'),
    'program.mjs': job.code,
    'input.json': JSON.stringify(job.input),
  });
  const spec = helperPodSpec(
    { ...helperOptions(options), ...metadata },
    {
      ...(asked ? { port: jobPort } : {}),
      environment: { DMAS_JOB_FILES: JSON.stringify(files) },
      volume,
      ...helperNeeds.job,
      graceSeconds: 1,
      restart: 'Never',
    },
  );
  return [
    ...maps,
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { ...metadata, name },
      spec: {
        backoffLimit: 0,
        activeDeadlineSeconds: Math.ceil(job.timeoutMs / 1000) + graceSeconds,
        // Goes by itself where nobody is left to remove it.
        ttlSecondsAfterFinished: 300,
        template: { metadata: { labels: metadata.labels, annotations: { ...metadata.annotations, ...options.podAnnotations } }, spec },
      },
    },
  ];
}

/** Waits for the pod to end; what it printed last is its result. */
async function byLog(cluster: Cluster, pods: ObjectView, name: string, signal: AbortSignal): Promise<JobOutcome> {
  const pod = await podThat(cluster, pods, name, signal, ({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed');
  const end = endOf(pod);
  if (pod.status?.phase !== 'Succeeded' && end !== undefined && end.exitCode === undefined) throw new Error(endText(end));
  const lines = (await podLog(cluster, pod.metadata.name, {})).split('\n').filter((line) => line.trim() !== '');
  return { code: pod.status?.phase === 'Succeeded' ? 0 : (end?.exitCode ?? 1), signal: null, lastLine: lastOutput(lines) };
}

/** Output and errors of a pod are one log; the result is the last line that can be one. */
const lastOutput = (lines: readonly string[]): string => lines.findLast((line) => isJson(line)) ?? lines.at(-1) ?? '';

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Asks the pod itself: for how it ended, and for its files. */
async function byAsking(cluster: Cluster, pods: ObjectView, name: string, files: JobFiles, signal: AbortSignal): Promise<JobOutcome> {
  const runs = (pod: Pod) => isReady(pod) || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  const pod = await podThat(cluster, pods, name, signal, runs);
  const tunnel = await openTunnel(cluster, () => pod.metadata.name, jobPort);
  const url = `http://${tunnel.host}:${tunnel.port}`;
  let stopped = false;
  const look = setInterval(() => {
    if (stopped || !files.watches.some((path) => existsSync(path))) return;
    stopped = true;
    void send(`${url}/stop`, 'POST', {}, '').catch(() => {
      stopped = false;
    });
  }, watchFilesMs);
  /** Until it has answered, or the pod is gone: a tunnel may break and the program goes on. */
  const patiently = async (path: string, method: string): Promise<Buffer> => {
    for (;;) {
      try {
        return await send(`${url}${path}`, method, {}, '', signal);
      } catch (error) {
        signal.throwIfAborted();
        const now = pods.objects.find(({ metadata }) => metadata.name === pod.metadata.name) as Pod | undefined;
        const end = now === undefined ? undefined : endOf(now);
        if (now === undefined || end !== undefined) throw new Error(end === undefined ? 'its pod is gone' : endText(end), { cause: error });
        await sleep(askAgainMs, undefined, { signal });
      }
    }
  };
  try {
    const outcome = JSON.parse((await patiently('/outcome', 'GET')).toString('utf8')) as JobOutcome;
    for (const [index, path] of files.writes.entries()) {
      const packed = await patiently(`/files/${index}`, 'GET').catch(() => null);
      if (packed === null) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, gunzipSync(packed));
    }
    await send(`${url}/taken`, 'POST', {}, '').catch(() => {});
    return outcome;
  } finally {
    clearInterval(look);
    await tunnel.close();
  }
}

/** The pod of the job, once it is as wished. Rejects when it cannot start. */
async function podThat(cluster: Cluster, pods: ObjectView, name: string, signal: AbortSignal, wished: (pod: Pod) => boolean): Promise<Pod> {
  for (let looked = 0; ; looked += 1) {
    signal.throwIfAborted();
    const [pod] = pods.objects as readonly Pod[];
    if (pod !== undefined && wished(pod)) return pod;
    const explanation = pod === undefined ? await whyNoPod(cluster, name, looked) : explainPod(pod);
    if (explanation?.final) throw new Error(`did not start: ${explanation.why}`);
    await new Promise<void>((resolve) => {
      const go = () => {
        stop();
        clearTimeout(timer);
        signal.removeEventListener('abort', go);
        resolve();
      };
      const stop = pods.onChange(go);
      const timer = setTimeout(go, askAgainMs);
      signal.addEventListener('abort', go, { once: true });
    });
  }
}

async function whyNoPod(cluster: Cluster, name: string, looked: number) {
  if (looked % 4 !== 3) return null;
  const job = await readObject(cluster, objectPath(cluster, 'batch/v1/Job', name));
  const { conditions = [] } = (job?.status ?? {}) as { readonly conditions?: readonly Condition[] };
  const failed = conditions.find(({ type, status }) => type === 'Failed' && status === 'True');
  return failed === undefined ? explainNoPod(conditions, []) : { why: failed.message ?? 'the job failed', fix: '', final: true };
}

async function removeNow(cluster: Cluster, object: KubernetesObject): Promise<void> {
  const path = objectPath(cluster, `${object.apiVersion}/${object.kind}`, object.metadata.name);
  // What cannot be removed now is found by `clean` when this process has ended.
  const present = await readObject(cluster, path).catch(() => null);
  if (present !== null) await removeObject(cluster, present, 0).catch(() => false);
}

function parseResult(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`printed no JSON as its last line but ${JSON.stringify(line.slice(0, 200))}`, { cause: error });
  }
}
