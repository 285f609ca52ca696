import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import type { Job, Target } from '../../../../runtime/targets/target.ts';
import { builtInKind } from '../../../stand-ins/kubernetes/api/world.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';
import { jobCode, temporaryFolder, testContext } from '../fixtures.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

// Pods of this stand-in are processes; what is tested is what comes back out of them.
let server: KubernetesStandIn;
let folder: string;
let target: Target;
beforeAll(async () => {
  folder = temporaryFolder();
  server = await startKubernetesStandIn({ run: 'process', images: { '*': folder } });
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, server.kubeconfig());
  target = (await kubernetesTarget.load()).create({ kubeconfig });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const job = (input: unknown, rest: Partial<Job> = {}): Job => ({ id: 'job-1', code: jobCode, input, folder, timeoutMs: 60_000, ...rest });
const left = () => ['Job', 'Pod', 'ConfigMap'].flatMap((kind) => server.store.list(builtInKind(kind)).map(({ metadata }) => metadata.name));

describe('a job in the cluster', () => {
  it('gives its last line, sees nothing of this process, and is gone', async () => {
    const result = (await target.runJob(job({ what: 'echo', value: { a: 1 } }), testContext())) as { echo: unknown; environment: object };
    expect(result.echo).toEqual({ a: 1 });
    expect(Object.keys(result.environment)).not.toContain('KUBECONFIG');
    expect(readFileSync(join(folder, 'job-1.log'), 'utf8')).toContain('started with echo');
    expect(left()).toEqual([]);
  });

  it('brings the files it writes to where they were named', async () => {
    const file = join(folder, 'samples', 'one.ndjson');
    const code = `import { readFileSync, writeFileSync } from 'node:fs';
      const { file, sizeBytes } = JSON.parse(readFileSync(process.env.DMAS_JOB, 'utf8'));
      writeFileSync(file, 'x'.repeat(sizeBytes));
      console.log(JSON.stringify({ there: file }));`;
    const result = await target.runJob(job({ file, sizeBytes: 3_000_000 }, { code, writes: [file] }), testContext());
    expect(result).not.toEqual({ there: file });
    expect(readFileSync(file, 'utf8')).toBe('x'.repeat(3_000_000));
  });

  it('stops when the file it looks for is there', async () => {
    const stop = join(folder, 'stop');
    const code = `import { existsSync, readFileSync } from 'node:fs';
      const { stop } = JSON.parse(readFileSync(process.env.DMAS_JOB, 'utf8'));
      setInterval(() => { if (existsSync(stop)) { console.log('{"stopped":true}'); process.exit(0); } }, 20);`;
    setTimeout(() => writeFileSync(stop, ''), 300);
    expect(await target.runJob(job({ stop }, { code, watches: [stop] }), testContext())).toEqual({ stopped: true });
    expect(existsSync(stop)).toBe(true);
  });

  it.each([
    ['fail', /job-1 ended with code 9[\s\S]*started with fail/],
    ['babble', /printed no JSON as its last line but "no JSON at all"/],
  ])('says what went wrong when it should %s', async (what, message) => {
    await expect(target.runJob(job({ what }), testContext())).rejects.toMatchObject({
      code: 'DMAS_JOB_FAILED',
      message: expect.stringMatching(message),
    });
    expect(left()).toEqual([]);
  });

  it('is ended when it takes too long, and when it is interrupted', async () => {
    const late = target.runJob(job({ what: 'hang' }, { timeoutMs: 2_000 }), testContext());
    await expect(late).rejects.toMatchObject({ code: 'DMAS_JOB_FAILED', message: expect.stringContaining('did not end within 2000 ms') });
    const controller = new AbortController();
    const hanging = target.runJob(job({ what: 'hang' }), testContext(controller.signal));
    setTimeout(() => controller.abort(), 500);
    await expect(hanging).rejects.toMatchObject({ code: 'DMAS_INTERRUPTED' });
    expect(left()).toEqual([]);
  });
});
