import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DmasError, onePerComponent } from '../../../../compiler/contracts/index.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { openEngine } from '../../../../runtime/targets/docker/engine.ts';
import { ensureNodeImage } from '../../../../runtime/targets/docker/image.ts';
import { tar } from '../../../../runtime/targets/docker/tar.ts';
import { type Bench, openBench } from '../../../placements/deploy.ts';
import { testSettings } from './settings.ts';

const file = fileURLToPath(new URL('../../../fixtures/elsewhere/image.yaml', import.meta.url));
const fixedPort = fileURLToPath(new URL('../../../fixtures/elsewhere/image-port.yaml', import.meta.url));
const program = new URL('../../../fixtures/elsewhere/agent.mjs', import.meta.url);
const [missing] = await createDockerTarget(testSettings).check();
const image = `dmas-opt-test-agent:${process.pid}`;

/** An image as somebody else would make it: Node.js and a program, with a command of its own. */
async function makeImage(): Promise<void> {
  const docker = await openEngine();
  const container = await docker.createContainer({ Image: await ensureNodeImage(docker), Cmd: ['node', '/agent.mjs'] });
  await container.putArchive(Readable.from(tar([{ path: 'agent.mjs', content: readFileSync(program), mode: 0o644 }])), { path: '/' });
  const [repo, tag] = image.split(':');
  await container.commit({ repo, tag, changes: 'ENV PATH=/usr/bin\nCMD ["node", "/agent.mjs"]' });
  await container.remove({ force: true });
}

describe.skipIf(missing)(`images of others on docker${missing ? `: skipped, ${missing.message}` : ''}`, () => {
  let bench: Bench | undefined;
  beforeAll(makeImage, 60_000);
  afterAll(async () => {
    delete process.env.RESEARCHER_IMAGE;
    await bench?.close();
    const docker = await openEngine();
    await docker.getImage(image).remove({ force: true });
  });

  it('are started with the same environment, found by name, and reach their neighbours by name', async () => {
    process.env.RESEARCHER_IMAGE = image;
    bench = await openBench(file);
    const { project } = bench;
    const layout = onePerComponent(project.workflow, project.defaults);
    const twice = { ...layout, units: layout.units.map((unit) => ({ ...unit, replicas: unit.id === 'researcher' ? 2 : 1 })) };
    await bench.with(twice, async ({ deployment, ask, spans }) => {
      // The rater is on this machine's loopback, which no container reaches; all before it answered.
      const { status, output } = await ask({ id: 'one', input: { topic: 'tides' } });
      expect(status).toBe(503);
      expect(output).toContain('rater');
      const traced = await spans();
      expect(traced.find(({ name }) => name === 'call researcher')?.ok).toBe(true);
      // It found its neighbour, and passed the trace on.
      expect(traced.find(({ name }) => name === 'serve archive')?.ok).toBe(true);
      const usage = await deployment.usage();
      expect(usage.filter(({ id }) => id === 'researcher').map(({ cpuSeconds }) => cpuSeconds > 0)).toEqual([true, true]);
    });
  }, 90_000);

  it('that always listen on one port are found there, every replica, and are told none', async () => {
    process.env.RESEARCHER_IMAGE = image;
    const other = await openBench(fixedPort);
    try {
      const { project } = other;
      const layout = onePerComponent(project.workflow, project.defaults);
      const twice = { ...layout, units: layout.units.map((unit) => ({ ...unit, replicas: unit.id === 'researcher' ? 2 : 1 })) };
      await other.with(twice, async ({ ask, spans }) => {
        for (const id of ['one', 'two', 'three']) await ask({ id, input: { topic: 'tides' } });
        const called = (await spans()).filter(({ name }) => name === 'call researcher');
        expect(called.map(({ ok }) => ok)).toEqual([true, true, true]);
      });
    } finally {
      await other.close();
    }
  }, 90_000);

  it('that are not there are named', async () => {
    process.env.RESEARCHER_IMAGE = 'nobody/made-this:1';
    const other = await openBench(file);
    try {
      const { project } = other;
      const failure = await other
        .with(onePerComponent(project.workflow, project.defaults), async () => undefined)
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DmasError);
      expect((failure as DmasError).message).toMatch(/unit researcher replica 0 did not start: .*nobody\/made-this:1/i);
    } finally {
      await other.close();
    }
  }, 60_000);
});
