import { describe, expect, it } from 'vitest';
import { explainNoPod, explainPod, type KubernetesEvent } from '../../../../runtime/targets/kubernetes/explain.ts';
import type { ContainerStatus, Pod } from '../../../../runtime/targets/kubernetes/pods.ts';

const pod = (container: Partial<ContainerStatus>, rest: Partial<Pod['status']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a-1' },
  status: { phase: 'Pending', containerStatuses: [{ name: 'main', image: 'node:22', ...container }], ...rest },
});
const unscheduled = (message: string): Pod =>
  pod({}, { containerStatuses: [], conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] });

describe('why a pod does not start', () => {
  it('is its image, said with the name and the answer of the registry', () => {
    const waiting = pod({ state: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "node:22"' } } });
    expect(explainPod(waiting)).toMatchObject({
      why: 'its image node:22 cannot be pulled: Back-off pulling image "node:22"',
      fix: expect.stringContaining('pullSecrets'),
      final: true,
    });
    expect(explainPod(pod({ state: { waiting: { reason: 'ErrImagePull' } } }))?.final).toBe(false);
  });

  it('is how its program ended, at once for ours and after some tries for what others built', () => {
    const crashing = (restartCount: number) =>
      pod({
        restartCount,
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { exitCode: 3, reason: 'Error' } },
      });
    expect(explainPod(crashing(1))).toMatchObject({ why: 'ended with code 3', final: true });
    expect(explainPod(crashing(1), [], true)?.final).toBe(false);
    expect(explainPod(crashing(3), [], true)?.final).toBe(true);
    const hungry = pod({ state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } });
    expect(explainPod(hungry)).toMatchObject({ why: expect.stringContaining('memory'), fix: expect.stringContaining('memoryMb') });
  });

  it.each([
    ['0/3 nodes are available: 3 Insufficient nvidia.com/gpu.', 'no node has a free nvidia.com/gpu'],
    ['0/3 nodes are available: 3 Insufficient memory.', 'no node has room for it'],
    ['0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.', 'every node has a taint it does not tolerate'],
    ["0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", 'no node has the labels it asks for'],
  ])('is what the scheduler says: %s', (message, why) => {
    const found = explainPod(unscheduled(message));
    expect(found?.why).toBe(`${why} (${message.slice(0, -1)})`);
    // Somebody may add a node.
    expect(found?.final).toBe(false);
  });

  it('is what its node says, for good where no time will help', () => {
    const refused = (reason: string, message: string) => explainPod(pod({}, { phase: 'Failed', reason, message, containerStatuses: [] }));
    expect(refused('AppArmor', 'Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host')).toMatchObject({
      why: 'its node refuses it (AppArmor): Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host',
      fix: expect.stringContaining('target.appArmor'),
      final: true,
    });
    expect(refused('OutOfcpu', "Pod was rejected: Node didn't have enough resource: cpu")?.final).toBe(false);
  });

  it('is the latest warning where the pod itself says nothing', () => {
    const event = (reason: string, message: string, lastTimestamp: string, type = 'Warning'): KubernetesEvent => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: reason },
      ...{ reason, message, lastTimestamp, type },
    });
    const quiet = pod({ state: { waiting: { reason: 'ContainerCreating' } } });
    expect(explainPod(quiet)).toBeNull();
    const events = [
      event('FailedMount', 'configmap "b" not found', '2026-01-01T00:00:02Z'),
      event('FailedMount', 'configmap "a" not found', '2026-01-01T00:00:01Z'),
      event('Scheduled', 'assigned', '2026-01-01T00:00:03Z', 'Normal'),
    ];
    expect(explainPod(quiet, events)?.why).toBe('FailedMount: configmap "b" not found');
  });
});

describe('why there is no pod at all', () => {
  const failure = (message: string) => explainNoPod([{ type: 'ReplicaFailure', status: 'True', message }], []);
  it.each([
    [
      'pods "a" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=3, limited: cpu=4',
      'the quota of the namespace has no room',
    ],
    ['pods "a" is forbidden: violates PodSecurity "restricted:latest"', 'the pod security policy of the namespace refuses it'],
    ['admission webhook "images.example" denied the request: no such registry', 'a policy of the cluster refuses it'],
  ])('%s', (message, start) => {
    const found = failure(message);
    expect(found).toMatchObject({ why: `${start}: ${message}`, final: true });
  });

  it('is not known while nobody has complained', () => {
    expect(explainNoPod([{ type: 'Progressing', status: 'True' }], [])).toBeNull();
  });
});
