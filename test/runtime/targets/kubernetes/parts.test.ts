import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { throttled, traffic } from '../../../../runtime/own-usage.ts';
import type { KubernetesObject } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { filesAsConfigMaps, loader } from '../../../../runtime/targets/kubernetes/code.ts';
import { managedBy } from '../../../../runtime/targets/kubernetes/guard.ts';
import { annotations, isAbandoned, labelValue, objectName } from '../../../../runtime/targets/kubernetes/labels.ts';
import { isLocal, oneAfterAnother } from '../../../../runtime/targets/kubernetes/traces.ts';
import { thisOwner } from '../../../../runtime/targets/process/lease.ts';

const object = (metadata: Partial<KubernetesObject['metadata']>): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'x', ...metadata },
});
const ours = { 'app.kubernetes.io/managed-by': 'dmas-opt' };

describe('names', () => {
  it('are valid for every text, and differ where texts do', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 90 }), fc.string({ minLength: 1, maxLength: 90 }), (a, b) => {
        expect(objectName(a)).toMatch(/^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$/);
        expect(labelValue(a)).toMatch(/^[a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?$/);
        if (a !== b) {
          expect(objectName(a)).not.toBe(objectName(b));
          expect(labelValue(a)).not.toBe(labelValue(b));
        }
      }),
    );
    expect(objectName('dmas', 'ab12-3')).toBe('dmas-ab12-3');
  });
});

describe('whose an object is', () => {
  it('is ours by its label alone', () => {
    expect(managedBy(object({ labels: ours }))).toBeNull();
    expect(managedBy(object({}))).toBe('somebody else');
    expect(managedBy(object({ managedFields: [{ manager: 'kubectl-client-side-apply' }] }))).toBe('kubectl-client-side-apply');
    expect(managedBy(object({ labels: { 'app.kubernetes.io/managed-by': 'Helm' } }))).toBe('Helm');
  });

  it.each([
    ['Argo CD', { annotations: { 'argocd.argoproj.io/tracking-id': 'shop:apps/Deployment:x/y' } }],
    ['Flux', { labels: { 'kustomize.toolkit.fluxcd.io/name': 'apps' } }],
    ['Helm', { annotations: { 'meta.helm.sh/release-name': 'shop' } }],
  ])('is of %s by its mark, whatever else it says', (who, metadata) => {
    expect(managedBy(object({ ...metadata, labels: { ...ours, ...('labels' in metadata ? metadata.labels : {}) } }))).toBe(who);
  });
});

describe('whether an owner is gone', () => {
  const owned = (owner: object) => object({ labels: ours, annotations: { [annotations.owner]: JSON.stringify(owner) } });
  const now = Date.parse('2026-01-01T12:00:00Z');
  it('is known of processes of this machine', () => {
    expect(isAbandoned(owned(thisOwner()), undefined, now)).toBe(false);
    expect(isAbandoned(owned({ ...thisOwner(), startToken: 'of another' }), undefined, now)).toBe(true);
  });

  it('is judged of others by their last sign of life, and not at all without one', () => {
    const elsewhere = owned({ ...thisOwner(), host: 'elsewhere' });
    expect(isAbandoned(elsewhere, undefined, now)).toBe(false);
    expect(isAbandoned(elsewhere, now - 5 * 60_000, now)).toBe(false);
    expect(isAbandoned(elsewhere, now - 11 * 60_000, now)).toBe(true);
    expect(isAbandoned(object({ labels: ours }), 0, now)).toBe(false);
  });
});

describe('files of a pod', () => {
  it('come out as they went in, however many pieces they take, and are run', () => {
    // Random bytes do not shrink: this takes three pieces and so two objects or more.
    const noise = Array.from({ length: 60_000 }, () => Math.random().toString(36).slice(2)).join('');
    const { maps, volume } = filesAsConfigMaps(
      'job',
      {},
      {
        'main.mjs': "console.log(globalThis.dmasFile('note.txt').length, globalThis.dmasFile('noise').length);",
        'note.txt': 'ä',
        noise: noise.repeat(4),
      },
    );
    for (const map of maps) {
      const bytes = Object.values(map.binaryData as { [key: string]: string }).reduce(
        (sum, text) => sum + Buffer.from(text, 'base64').length,
        0,
      );
      expect(bytes).toBeLessThan(1024 * 1024);
    }
    expect(maps.length).toBeGreaterThan(1);
    expect(volume.projected).toEqual({ sources: maps.map(({ metadata: { name } }) => ({ configMap: { name } })) });
    const folder = mkdtempSync(join(tmpdir(), 'dmas-test-'));
    try {
      for (const map of maps)
        for (const [key, text] of Object.entries(map.binaryData as { [key: string]: string }))
          writeFileSync(join(folder, key), Buffer.from(text, 'base64'));
      const printed = execFileSync(process.execPath, ['--input-type=module', '-e', loader], {
        env: { DMAS_FILES: folder, TMPDIR: folder },
        encoding: 'utf8',
      });
      expect(printed.trim()).toBe(`1 ${noise.length * 4}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('what a process counts of itself', () => {
  it('reads the files of the kernel', () => {
    expect(throttled('usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n')).toEqual({ throttledSeconds: 2.5 });
    expect(throttled('usage_usec 5\n')).toEqual({});
    const table = [
      'Inter-|   Receive                                                |  Transmit',
      ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
      '    lo:    9999      10    0    0    0     0          0         0     9999      10    0    0    0     0       0          0',
      '  eth0:    1000      10    0    0    0     0          0         0      500       5    0    0    0     0       0          0',
      'net1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0',
    ].join('\n');
    expect(traffic(table)).toEqual({ receivedBytes: 1001, sentBytes: 502 });
    expect(traffic('')).toEqual({});
  });
});

it('knows receivers that no pod can reach', () => {
  expect(['http://127.0.0.1:4318', 'http://localhost:1', 'http://[::1]:2'].map(isLocal)).toEqual([true, true, true]);
  expect(['http://otel.example:4318', 'http://10.0.0.1:4318'].map(isLocal)).toEqual([false, false]);
});

describe('fetching what is held', () => {
  it('ends when all that was held at its call has been handed over, also by a fetch that was under way', async () => {
    const held = ['span'];
    const received: string[] = [];
    let handOver = () => {};
    let fails = false;
    const fetch = oneAfterAnother(async () => {
      const taken = held.splice(0);
      if (taken.length > 0) await new Promise<void>((resolve) => (handOver = resolve));
      received.push(...taken);
      if (fails) throw new Error('the tunnel broke');
    });
    const periodic = fetch();
    await Promise.resolve();
    await Promise.resolve();
    expect(held).toEqual([]);
    const asked = fetch();
    const askedToo = fetch();
    let over = false;
    void asked.then(() => {
      over = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    handOver();
    await Promise.all([periodic, asked, askedToo]);
    expect(received).toEqual(['span']);
    // One that fails is told, and is no reason not to try again.
    fails = true;
    await expect(fetch()).rejects.toThrow('the tunnel broke');
    fails = false;
    await fetch();
  });
});
