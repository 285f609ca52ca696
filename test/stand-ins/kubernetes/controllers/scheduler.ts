import { costOf } from '../api/quota.ts';
import { tellEvent, writeBySystem, writeStatus } from '../api/system.ts';
import { builtInKind, type World } from '../api/world.ts';
import { type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import { condition } from './deployments.ts';

/** Gives every new pod a node that has room for it and that it tolerates, or says why there is none. */
export function scheduler(world: World): void {
  const nodes = world.store.list(builtInKind('Node'));
  for (const pod of world.store.list(builtInKind('Pod'))) {
    if (textAt(pod, 'spec', 'nodeName') !== undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const fault = world.faults.meetPod(pod, ['unschedulable']);
    const reasons = nodes.map((node) => (fault ? (fault.message ?? 'Insufficient cpu') : whyNot(world, pod, node)));
    const fitting = nodes.filter((_, index) => reasons[index] === null);
    const node = fitting.sort((a, b) => podsOn(world, a).length - podsOn(world, b).length)[0];
    if (!node) {
      refuse(world, pod, reasons.map(String));
      continue;
    }
    writeBySystem(
      world,
      pod,
      (after) => {
        objectAt(after, 'spec').nodeName = node.metadata.name;
        const others = objectsAt(after, 'status', 'conditions').filter(({ type }) => type !== 'PodScheduled');
        const { lastUpdateTime: _unused, ...scheduled } = condition(after, 'PodScheduled', true, '', '');
        after.status = {
          ...objectAt(after, 'status'),
          conditions: [{ ...scheduled, reason: undefined, message: undefined }, ...others].map(
            (each) => JSON.parse(JSON.stringify(each)) as JsonObject,
          ),
        };
      },
      'kube-scheduler',
    );
    tellEvent(
      world,
      pod,
      'Normal',
      'Scheduled',
      `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${node.metadata.name}`,
      'default-scheduler',
    );
  }
}

const podsOn = (world: World, node: KubeObject) =>
  world.store
    .list(builtInKind('Pod'))
    .filter(
      (pod) =>
        textAt(pod, 'spec', 'nodeName') === node.metadata.name && !['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase') ?? ''),
    );

function whyNot(world: World, pod: KubeObject, node: KubeObject): string | null {
  if (objectAt(node, 'spec').unschedulable === true) return 'node(s) were unschedulable';
  const taint = objectsAt(node, 'spec', 'taints').find((each) => each.effect !== 'PreferNoSchedule' && !tolerates(pod, each));
  if (taint) return `node(s) had untolerated taint {${String(taint.key)}: ${String(taint.value ?? '')}}`;
  const wanted = Object.entries(objectAt(pod, 'spec', 'nodeSelector'));
  if (!wanted.every(([key, value]) => node.metadata.labels?.[key] === value)) return "node(s) didn't match Pod's node affinity/selector";
  const present = podsOn(world, node);
  const taken: { [name: string]: number } = {};
  for (const each of present)
    for (const [name, amount] of Object.entries(costOf(builtInKind('Pod'), each))) taken[name] = (taken[name] ?? 0) + amount;
  if (present.length >= (quantity(String(objectAt(node, 'status', 'allocatable').pods ?? 110)) ?? 110)) return 'Too many pods';
  for (const [name, amount] of Object.entries(costOf(builtInKind('Pod'), pod))) {
    if (!name.startsWith('requests.') || amount === 0) continue;
    const resource = name.slice('requests.'.length);
    const room = quantity(String(objectAt(node, 'status', 'allocatable')[resource] ?? '0')) ?? 0;
    if ((taken[name] ?? 0) + amount > room + 1e-9) return `Insufficient ${resource}`;
  }
  return null;
}

const tolerates = (pod: KubeObject, taint: JsonObject) =>
  objectsAt(pod, 'spec', 'tolerations').some(
    ({ key, operator, value, effect }) =>
      (key === undefined || key === taint.key) &&
      (operator === 'Exists' || (value ?? '') === (taint.value ?? '')) &&
      (effect === undefined || effect === taint.effect),
  );

function refuse(world: World, pod: KubeObject, reasons: readonly string[]): void {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const said = [...counts.entries()].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const message = `0/${reasons.length} nodes are available: ${said === '' ? 'no nodes' : said}. preemption: 0/${reasons.length} nodes are available: ${reasons.length} Preemption is not helpful for scheduling.`;
  const known = objectsAt(pod, 'status', 'conditions').find(({ type }) => type === 'PodScheduled');
  if (known?.message === message) return;
  const { lastUpdateTime: _unused, ...failed } = condition(pod, 'PodScheduled', false, 'Unschedulable', message);
  writeStatus(world, pod, { phase: 'Pending', conditions: [failed] }, 'kube-scheduler');
  tellEvent(world, pod, 'Warning', 'FailedScheduling', message, 'default-scheduler');
}
