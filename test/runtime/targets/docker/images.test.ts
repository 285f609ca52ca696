import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../../../compiler/contracts/index.ts';
import { bundlePath, ensureAppImage } from '../../../../runtime/targets/docker/app-image.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { openEngine } from '../../../../runtime/targets/docker/engine.ts';
import { ensureImage, ensureNodeImage } from '../../../../runtime/targets/docker/image.ts';
import { labels } from '../../../../runtime/targets/docker/labels.ts';
import { pruneImages, unusedImages } from '../../../../runtime/targets/docker/unused-images.ts';
import { testSettings } from './settings.ts';

const [missing] = await createDockerTarget(testSettings).check();
const bundle = (id: string, code: string): Bundle => ({
  id,
  code,
  entry: '',
  sha256: createHash('sha256').update(code).digest('hex'),
  sizeBytes: code.length,
  modules: [],
});

describe.skipIf(missing)(`images of applications${missing ? `: skipped, ${missing.message}` : ''}`, () => {
  it('hold every bundle once, run without anything else, and are built once', async () => {
    const docker = await openEngine();
    const base = await ensureNodeImage(docker);
    const application = `images-test-${process.pid}`;
    const bundles = [bundle('a', 'console.log("hello of", process.getuid())'), bundle('b', 'console.log("other")')];
    const name = await ensureAppImage(docker, base, application, bundles);
    try {
      const first = await docker.getImage(name).inspect();
      expect(first.Config.Labels).toMatchObject({ [labels.application]: application });
      expect(await ensureAppImage(docker, base, application, [...bundles].reverse())).toBe(name);
      expect((await docker.getImage(name).inspect()).Id).toBe(first.Id);
      // One layer over the base, which all applications share.
      expect(first.RootFS.Layers).toHaveLength(2);
      const [a] = bundles;
      const container = await docker.createContainer({
        Image: name,
        Entrypoint: ['node', bundlePath(a ?? { sha256: '' })],
        User: '1234:1234',
        HostConfig: { ReadonlyRootfs: true, NetworkMode: 'none' },
      });
      await container.start();
      expect(await container.wait()).toEqual({ Error: null, StatusCode: 0 });
      expect(String(await container.logs({ stdout: true }))).toContain('hello of 1234');
      expect((await unusedImages(docker)).map(({ line }) => line)).not.toContain(`image ${name} of ${application}`);
      await container.remove();
      expect((await unusedImages(docker)).map(({ line }) => line)).toContain(`image ${name} of ${application}`);
    } finally {
      await docker.getImage(name).remove({ force: true });
    }
  }, 90_000);

  it('of others are named when the engine has none and cannot fetch them', async () => {
    await expect(ensureImage(await openEngine(), 'nobody.invalid/made/this:1')).rejects.toThrow(
      /nobody\.invalid\/made\/this:1 and cannot fetch/,
    );
  }, 30_000);
});

describe('which images go', () => {
  const image = (id: string, created: number, label: string, tag = `${label === '' ? 'dmas-opt-node' : 'dmas-opt-app'}:${id}`) => ({
    Id: id,
    Created: created,
    RepoTags: [tag],
    Labels: { [labels.image]: 'v20', ...(label === '' ? {} : { [labels.application]: label }) },
  });
  /** An engine with five images of applications, of which one is in use and one untagged, one of Node.js, and two of others on it. */
  const fake = () => {
    const removed: string[] = [];
    const images = [
      image('old', 1, 'app'),
      image('middle', 2, 'app'),
      image('new', 3, 'app'),
      image('used', 0, 'app'),
      image('cut-off', 9, 'app', '<none>:<none>'),
      image('node', 5, ''),
      // Built by somebody on our base, whose labels they inherit.
      image('theirs', 6, '', 'shop:1'),
      image('their-leftover', 7, '', '<none>:<none>'),
    ];
    const docker = {
      listContainers: async () => [{ ImageID: 'used' }],
      listImages: async ({ filters }: { filters: string }) =>
        images.filter(({ Labels }) => (JSON.parse(filters).label[0] as string) in Labels),
      getImage: (name: string) => ({ remove: async () => removed.push(name) }),
    } as unknown as Docker;
    return { docker, removed };
  };

  it('are those that no container is made of, applications before what they stand on', async () => {
    expect((await unusedImages(fake().docker)).map(({ line }) => line.split(' ')[1])).toEqual([
      'cut-off',
      'dmas-opt-app:new',
      'dmas-opt-app:middle',
      'dmas-opt-app:old',
      'dmas-opt-node:node',
    ]);
  });

  it('are the untagged and the oldest beyond the bound', async () => {
    const { docker, removed } = fake();
    await pruneImages(docker, 2);
    expect(removed).toEqual(['cut-off', 'dmas-opt-app:old']);
  });
});
