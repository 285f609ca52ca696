import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitLayout } from '../../cli/commands/export.ts';
import { openProject } from '../../cli/project.ts';
import { runFolder } from '../../cli/run-folder.ts';
import { canonicalConfiguration, onePerComponent } from '../../compiler/contracts/index.ts';
import { compose } from '../../compiler/emit/compose.ts';
import { foldStudy } from '../../optimizer/journal.ts';
import { openEngine } from '../../runtime/targets/docker/engine.ts';
import { ensureNodeImage } from '../../runtime/targets/docker/image.ts';
import { type ComposeProject, composeProject, noCompose, writeFiles } from './compose-project.ts';
import { here, outsideScenario, type Speaker, speaker } from './outside.ts';

const run = promisify(execFile);
// Building, starting and ending the containers takes a minute where the machine is busy.
const missing =
  (process.env.DMAS_OPT_FULL === '1' ? noCompose : 'it needs DMAS_OPT_FULL=1') ??
  (here === undefined ? 'this machine has no address but its loopback' : undefined);
const lookAround = readFileSync(new URL('../fixtures/units/look-around.mjs', import.meta.url), 'utf8');

interface Seen {
  readonly byName: { readonly [place: string]: boolean };
  readonly tunnelled: readonly { readonly caller: string; readonly answer: { readonly status: number } | null }[];
}

describe.skipIf(missing !== undefined)(
  `places outside in an exported Compose project${missing === undefined ? '' : `: skipped, ${missing}`}`,
  () => {
    let folder = '';
    let image = '';
    let mine: Speaker;
    let theirs: Speaker;
    let project: ComposeProject | undefined;

    beforeAll(async () => {
      const docker = await openEngine();
      const made = await ensureNodeImage(docker);
      image = `dmas-test-node:${process.pid}-egress`;
      await docker.getImage(made).tag({ repo: 'dmas-test-node', tag: `${process.pid}-egress` });
      folder = mkdtempSync(join(tmpdir(), 'dmas-compose-egress-'));
      [mine, theirs] = [await speaker('mine'), await speaker('theirs')];
      const opened = await openProject(outsideScenario(folder, [mine.place, theirs.place], { kind: 'docker' }));
      const plain = onePerComponent(opened.workflow, opened.defaults);
      const configuration = canonicalConfiguration({
        ...plain,
        // Two of one caller: both are known by the name that they share.
        units: plain.units.map((unit) => (unit.components.includes('caller') ? { ...unit, replicas: 2 } : unit)),
      });
      const files = await emitLayout({
        ...{ project: opened, study: foldStudy([]), folder: runFolder(join(folder, 'run'), 'run'), configuration },
        ...{ descriptor: compose, settings: compose.options.parse({}) },
      });
      await writeFiles(join(folder, 'export'), files);
      project = await composeProject(join(folder, 'export'), `dmas-test-${process.pid}-egress`, { NODE_IMAGE: image });
      await project.up();
    }, 240_000);

    afterAll(async () => {
      await project?.down();
      mine?.close();
      theirs?.close();
      rmSync(folder, { recursive: true, force: true });
      await (await openEngine()).getImage(image).remove();
    }, 120_000);

    it('are called through the egress service: each its own, and not another’s', async () => {
      // Enough questions for both replicas of the caller.
      for (let turn = 0; turn < 4; turn++) {
        const response = await fetch(`${project?.url}/`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ urls: [mine.url, theirs.url] }),
        });
        const { answers } = (await response.json()) as { answers: readonly string[] };
        const refused = expect.stringMatching(/^failed: .* may not be called from here: no component of it declares that place/);
        expect(answers).toEqual(['mine', refused, refused, 'theirs']);
      }
    });

    it('are out of reach by any other way, and on the port of another', async () => {
      const read = (member: string) =>
        JSON.parse(readFileSync(join(folder, 'export/images', member, 'binding.json'), 'utf8')) as {
          readonly names?: object;
          readonly listen: { readonly [address: string]: { readonly port: number } };
        };
      const ports = read('egress').listen;
      expect(Object.keys(read('desk').names ?? {}).filter((address) => address.startsWith('service://egress/'))).toEqual([]);
      for (const [member, own, others] of [
        ['caller', 'caller', 'neighbour'],
        ['neighbour', 'neighbour', 'caller'],
      ] as const) {
        const to = { caller: mine.place, neighbour: theirs.place };
        const argument = {
          places: [],
          names: [mine, theirs].map(({ place }) => ({ host: place.split(':')[0], port: Number(place.split(':')[1]) })),
          proxies: [own, others].map((caller) => ({
            ...{ caller, host: 'egress', port: ports[`service://egress/${caller}`]?.port, to: to[caller] },
          })),
        };
        const [id = ''] = ((await project?.compose('ps', '-q', member)) ?? '').split('\n');
        const { stdout } = await run('docker', [
          ...['exec', id, 'node', '--input-type=module', '-e', lookAround, JSON.stringify(argument)],
        ]);
        const seen = JSON.parse(stdout) as Seen;
        expect(Object.values(seen.byName)).toEqual([false, false]);
        expect(seen.tunnelled.map(({ caller, answer }) => [caller, answer?.status])).toEqual([
          [own, 200],
          [others, 403],
        ]);
      }
    });
  },
);
