import { setTimeout as sleep } from 'node:timers/promises';
import { readObject, removeObject } from './apply.ts';
import { recordRole } from './clean.ts';
import { ApiError, type Cluster, type KubernetesObject } from './cluster.ts';
import { labels, labelValue, selectorOf } from './labels.ts';
import { kindOf, objectPath, ownKinds } from './resources.ts';
import { listObjects, type ObjectView } from './watch.ts';

const lookEveryMs = 250;
/** How long pods that were killed may take to be gone. */
const killedWithinMs = 10_000;

/**
 * Removes objects as they are on the cluster, and waits for the pods among them to be gone. Pods that do not end within
 * `graceMs` are killed.
 *
 * @param graceSeconds how long pods get; absent: what their own specification says
 */
export async function removeAndWait(
  cluster: Cluster,
  pods: ObjectView,
  objects: readonly KubernetesObject[],
  graceSeconds: number | undefined,
  graceMs: number,
): Promise<void> {
  const waited = objects.filter(({ kind }) => kind === 'Pod');
  const made = objects.filter(({ kind }) => kind !== 'Pod');
  await Promise.all(made.map((object) => removePresent(cluster, object)));
  // Their makers are gone, so nothing comes in their place; asked directly, because the garbage collector may take its time.
  await Promise.all(waited.map((pod) => removeObject(cluster, pod, graceSeconds)));
  await podsGone(cluster, pods, waited, graceMs);
}

async function podsGone(cluster: Cluster, pods: ObjectView, waited: readonly KubernetesObject[], graceMs: number): Promise<void> {
  const uids = new Set(waited.map(({ metadata }) => metadata.uid));
  const left = () => pods.objects.filter(({ metadata }) => uids.has(metadata.uid));
  const killAt = Date.now() + graceMs;
  while (left().length > 0 && Date.now() < killAt) await sleep(lookEveryMs);
  if (left().length === 0) return;
  await Promise.all(left().map((pod) => removeObject(cluster, { ...pod, apiVersion: 'v1', kind: 'Pod' }, 0)));
  const giveUpAt = Date.now() + killedWithinMs;
  while (left().length > 0 && Date.now() < giveUpAt) await sleep(lookEveryMs);
}

async function removePresent(cluster: Cluster, object: KubernetesObject): Promise<void> {
  const present = await readObject(cluster, objectPath(cluster, kindOf(object), object.metadata.name));
  if (present !== null) await removeObject(cluster, present);
}

/**
 * Removes everything of a deployment but its record: what makes pods first, wave by wave, then the rest.
 *
 * @param waves names of Deployments in the order in which they are to end; what is in none ends last
 */
export async function removeAllOf(
  cluster: Cluster,
  pods: ObjectView,
  deploymentId: string,
  waves: readonly (readonly string[])[],
  graceMs: number,
): Promise<void> {
  const selector = selectorOf({ [labels.deployment]: labelValue(deploymentId) });
  const objects = (await Promise.all(ownKinds.map((kind) => listed(cluster, kind, selector)))).flat();
  const grace = graceMs > 0 ? undefined : 0;
  for (const wave of waves) {
    const makers = objects.filter(({ kind, metadata }) => ['Deployment', 'StatefulSet'].includes(kind) && wave.includes(metadata.name));
    await removeAndWait(cluster, pods, [...makers, ...podsOf(pods, makers)], grace, graceMs);
  }
  const record = ({ metadata }: KubernetesObject) => metadata.labels?.[labels.role] === recordRole;
  const rest = objects.filter((object) => !record(object));
  for (const kind of ownKinds)
    await Promise.all(rest.filter((object) => kindOf(object) === kind).map((object) => removePresent(cluster, object)));
  const left = await listed(cluster, 'v1/Pod', selector);
  await removeAndWait(cluster, pods, left, grace, graceMs);
}

/** Pods by the labels their Deployment selects them by. */
function podsOf(pods: ObjectView, makers: readonly KubernetesObject[]): KubernetesObject[] {
  const selectors = makers.map(
    ({ spec }) => (spec as { readonly selector: { readonly matchLabels: { readonly [label: string]: string } } }).selector.matchLabels,
  );
  const selected = ({ metadata }: KubernetesObject) =>
    selectors.some((wanted) => Object.entries(wanted).every(([label, value]) => metadata.labels?.[label] === value));
  return pods.objects.filter(selected).map((pod) => ({ ...pod, apiVersion: 'v1', kind: 'Pod' }));
}

/** What may not be listed was not made. */
async function listed(cluster: Cluster, kind: string, selector: string): Promise<KubernetesObject[]> {
  return listObjects(cluster, kind, selector).catch((error: unknown) => {
    if (error instanceof ApiError && [403, 404].includes(error.status)) return [];
    throw error;
  });
}
