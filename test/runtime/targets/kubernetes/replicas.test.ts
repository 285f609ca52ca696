import { beforeEach, describe, expect, it } from 'vitest';
import type { Incident } from '../../../../compiler/contracts/index.ts';
import type { Pod } from '../../../../runtime/targets/kubernetes/pods.ts';
import { addCounted, Replicas } from '../../../../runtime/targets/kubernetes/replicas.ts';

let incidents: Omit<Incident, 'atMs'>[];
let returned: string[];
let replicas: Replicas;
beforeEach(() => {
  incidents = [];
  returned = [];
  replicas = new Replicas(
    'b',
    2,
    (incident) => incidents.push(incident),
    ({ pod }) => returned.push(pod?.metadata.name ?? ''),
  );
});

const pod = (name: string, at: number, { ready = true, restarts = 0, exitCode = 0, terminating = false } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    uid: `uid-${name}`,
    creationTimestamp: `2026-01-01T00:00:0${at}Z`,
    ...(terminating ? { deletionTimestamp: '2026-01-01T00:01:00Z' } : {}),
  },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    containerStatuses: [
      {
        name: 'main',
        restartCount: restarts,
        state: { running: {} },
        ...(restarts > 0 ? { lastState: { terminated: { exitCode } } } : {}),
      },
    ],
  },
});
const held = () => replicas.places.map((place) => place.pod?.metadata.name ?? null);

describe('which pod is which replica', () => {
  it('goes by age, and stays', () => {
    replicas.take([pod('z', 1), pod('a', 2)]);
    expect(held()).toEqual(['z', 'a']);
    replicas.take([pod('a', 2), pod('z', 1)]);
    expect(held()).toEqual(['z', 'a']);
  });

  it('gives the place of one that went to the one that comes, and tells both', () => {
    replicas.take([pod('z', 1), pod('a', 2)]);
    replicas.supervised = true;
    replicas.take([pod('z', 1, { terminating: true }), pod('a', 2), pod('n', 3, { ready: false })]);
    expect(held()).toEqual(['n', 'a']);
    expect(incidents).toEqual([{ unit: 'b', replica: 0, what: 'crashed', detail: 'its pod is gone' }]);
    replicas.take([pod('a', 2), pod('n', 3)]);
    expect(incidents.map(({ what, replica }) => [what, replica])).toEqual([
      ['crashed', 0],
      ['restarted', 0],
    ]);
    expect(returned).toEqual(['n']);
    expect(replicas.places.map(({ restarts }) => restarts)).toEqual([1, 0]);
  });

  it('calls a container that ended in its pod crashed, with its code, though it is ready again when seen', () => {
    replicas.take([pod('z', 1), pod('a', 2)]);
    replicas.supervised = true;
    replicas.take([pod('z', 1), pod('a', 2, { restarts: 1, exitCode: 7 })]);
    expect(incidents).toEqual([
      { unit: 'b', replica: 1, what: 'crashed', detail: 'ended with code 7' },
      { unit: 'b', replica: 1, what: 'restarted', detail: 'as a' },
    ]);
  });

  it('does not call crashed what was killed on purpose, nor what never was up', () => {
    replicas.take([pod('z', 1), pod('a', 2, { ready: false })]);
    replicas.supervised = true;
    for (const place of replicas.places.slice(0, 1)) place.killed = true;
    replicas.take([]);
    expect(incidents).toEqual([]);
  });

  it('adds what instances of one place spent', () => {
    replicas.take([pod('z', 1), pod('a', 2)]);
    replicas.supervised = true;
    for (const place of replicas.places) place.present = { cpuSeconds: 2, peakMemoryMb: 50, receivedBytes: 10 };
    replicas.take([pod('z', 1), pod('a', 2, { restarts: 1 })]);
    const [kept, again] = replicas.places.map(({ past, present }) => addCounted(past, present));
    expect(kept).toEqual({ cpuSeconds: 2, peakMemoryMb: 50, receivedBytes: 10 });
    expect(again).toEqual(kept);
    expect(replicas.places[1]?.present.cpuSeconds).toBe(0);
  });
});
