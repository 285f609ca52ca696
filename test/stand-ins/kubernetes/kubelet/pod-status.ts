import { condition } from '../controllers/deployments.ts';
import { type JsonObject, type KubeObject, objectsAt, textAt } from '../state/json.ts';

export type State =
  | { readonly is: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly is: 'running'; readonly startedAt: string }
  | {
      readonly is: 'terminated';
      readonly exitCode: number;
      readonly reason: string;
      readonly startedAt: string;
      readonly finishedAt: string;
    };

/** What the kubelet knows of one container. */
export interface ContainerView {
  readonly name: string;
  readonly image: string;
  readonly init: boolean;
  state: State;
  last: State | null;
  ready: boolean;
  started: boolean;
  restarts: number;
}

export interface PodView {
  readonly podIp: string;
  readonly hostIp: string;
  readonly startedAt: string;
  readonly containers: readonly ContainerView[];
}

const stateOf = (state: State | null): JsonObject => {
  if (state === null) return {};
  const { is, ...rest } = state;
  if (is === 'terminated') return { terminated: { ...rest, containerID: 'containerd://stand-in' } };
  return { [is]: { ...rest } };
};

/** A pod's status from what its containers do. */
export function podStatus(pod: KubeObject, view: PodView): JsonObject {
  const entry = (container: ContainerView): JsonObject => ({
    name: container.name,
    image: container.image,
    imageID: container.state.is === 'waiting' && container.last === null ? '' : `stand-in://${container.image}`,
    ready: container.ready,
    started: container.started,
    restartCount: container.restarts,
    state: stateOf(container.state),
    lastState: stateOf(container.last),
  });
  const [inits, mains] = [view.containers.filter(({ init }) => init), view.containers.filter(({ init }) => !init)];
  const phase = phaseOf(pod, inits, mains);
  const initialized = inits.every(({ state }) => state.is === 'terminated' && state.exitCode === 0);
  const unready = mains.filter(({ ready }) => !ready).map(({ name }) => name);
  const ready = initialized && unready.length === 0;
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const why = ready ? '' : ended ? (phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed') : 'ContainersNotReady';
  const words = ready || ended ? '' : `containers with unready status: [${unready.join(' ')}]`;
  const told = (type: string, holds: boolean, reason = '', message = ''): JsonObject => {
    const { lastUpdateTime: _unused, ...made } = condition(pod, type, holds, reason, message);
    return Object.fromEntries(Object.entries(made).filter(([, value]) => value !== ''));
  };
  return {
    phase,
    conditions: [
      told('PodReadyToStartContainers', !ended),
      told('Initialized', initialized, initialized ? '' : 'ContainersNotInitialized'),
      told('Ready', ready, why, words),
      told('ContainersReady', ready, why, words),
      ...objectsAt(pod, 'status', 'conditions').filter(({ type }) => type === 'PodScheduled'),
    ],
    hostIP: view.hostIp,
    hostIPs: [{ ip: view.hostIp }],
    podIP: view.podIp,
    podIPs: [{ ip: view.podIp }],
    startTime: view.startedAt,
    ...(inits.length > 0 ? { initContainerStatuses: inits.map(entry) } : {}),
    containerStatuses: mains.map(entry),
  };
}

function phaseOf(pod: KubeObject, inits: readonly ContainerView[], mains: readonly ContainerView[]): string {
  const restart = textAt(pod, 'spec', 'restartPolicy') ?? 'Always';
  const over = ({ state }: ContainerView) => state.is === 'terminated';
  const failed = ({ state }: ContainerView) => state.is === 'terminated' && state.exitCode !== 0;
  if (restart === 'Never' && inits.some(failed)) return 'Failed';
  if (!inits.every((each) => over(each) && !failed(each))) return 'Pending';
  if (mains.every(over) && restart !== 'Always') {
    if (!mains.some(failed)) return 'Succeeded';
    if (restart === 'Never') return 'Failed';
  }
  return mains.every(({ state, last }) => state.is === 'waiting' && last === null) ? 'Pending' : 'Running';
}
