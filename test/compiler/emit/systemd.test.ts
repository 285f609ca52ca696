import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ProcessBinding } from '../../../compiler/contracts/index.ts';
import type { EmitInput, EmittedFile } from '../../../compiler/emit/emitter.ts';
import { hostNameOf } from '../../../compiler/emit/host-name.ts';
import { systemd } from '../../../compiler/emit/systemd.ts';
import { writeFiles } from '../../interop/compose-project.ts';
import { asText, emitInput, fileOf, foreignly, theirs } from './export-support.ts';

const target = systemd.traits.target;
const own = (wanted: Parameters<typeof emitInput>[0] = {}) => emitInput({ ...wanted, ...(target === undefined ? {} : { target }) });
const emitted = async (input: EmitInput, options: object = {}) => (await systemd.load()).emit(input, systemd.options.parse(options));
const kinds: readonly [string, () => Promise<EmitInput>][] = [
  ['as it is', () => own()],
  ['with a model of others', () => own({ given: theirs })],
  ['with replicas and files for state', () => own({ given: { state: { store: 'file' } }, replicas: 2 })],
  [
    'with an agent of others',
    () => own({ given: theirs, replicas: 2, change: foreignly('editor', { command: ['python3', 'editor.py', '{port}'] }) }),
  ],
];

const bindingsIn = (files: readonly EmittedFile[]) =>
  files.filter(({ path }) => path.startsWith('bindings/')).map(({ content }) => JSON.parse(content) as ProcessBinding);
const unitOf = (files: readonly EmittedFile[], name: string) => fileOf(files, `units/newsroom-${name}.service`);
const values = (unit: string, key: string) =>
  unit.split('\n').flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));

describe('systemd services', () => {
  it.each(kinds)('%s are what they were', async (name, input) => {
    await expect(asText(await emitted(await input()))).toMatchFileSnapshot(`../../golden/systemd/${name.replaceAll(' ', '-')}.txt`);
  });

  it.each(kinds)('%s listen where others are told that they do, on places of their own', async (_, input) => {
    const given = await input();
    const bindings = bindingsIn(await emitted(given));
    const places = bindings.flatMap(({ listen }) => Object.values(listen)).map((at) => ('port' in at ? `${at.host}:${at.port}` : at.path));
    expect(new Set(places).size).toBe(places.length);
    for (const { id, peers } of bindings) {
      const reached = given.access.members.find((member) => member.id === id)?.reaches.map(({ address }) => address) ?? [];
      expect(Object.keys(peers).sort()).toEqual([...reached].sort());
      for (const [address, replicas] of Object.entries(peers)) {
        const listening = bindings.filter(({ listen }) => listen[address] !== undefined);
        if (listening.length === 0) continue;
        expect(replicas.map(({ instanceId, at }) => [instanceId, at])).toEqual(
          listening.map((one) => [one.instanceId, one.listen[address]]),
        );
      }
    }
  });

  it.each(kinds)('%s may reach the replicas they call and no others', async (_, input) => {
    const given = await input();
    const files = await emitted(given);
    for (const binding of bindingsIn(files)) {
      const unit = unitOf(files, `${hostNameOf(binding.id)}-${binding.replica}`);
      const outside = given.access.members.find(({ id }) => id === binding.id)?.hosts.length ?? 0;
      const called = Object.values(binding.peers).flatMap((replicas) => replicas.map(({ at }) => ('host' in at ? at.host : '')));
      expect(values(unit, 'IPAddressDeny')).toEqual(outside > 0 ? [] : ['any']);
      expect(values(unit, 'IPAddressAllow').sort()).toEqual(outside > 0 ? [] : [...new Set(['127.0.0.1', ...called])].sort());
      const ports = Object.values(binding.listen).map((at) => `tcp:${'port' in at ? at.port : ''}`);
      expect(values(unit, 'SocketBindAllow').sort()).toEqual(ports.sort());
    }
  });

  it('name secrets in files to be filled in, and nowhere else', async () => {
    const files = await emitted(await own({ given: theirs, change: foreignly('editor', { command: ['python3', 'editor.py'] }) }));
    expect(fileOf(files, 'environment/editor.env.example').split('\n')).toContain('OPENAI_API_KEY=');
    for (const { path, content } of files) if (!path.startsWith('environment/')) expect(content).not.toMatch(/MODEL_KEY=|@dmas-opt:secret/);
    expect(values(unitOf(files, 'editor-0'), 'Environment')).toContain('"GREETING=costs $5 & \\"more\\" 100%%"');
  });

  it('refuse what has no command, with a fix', async () => {
    const input = await own({ change: foreignly('editor', { image: 'them/editor:1' }) });
    const emitter = await systemd.load();
    expect(() => emitter.emit(input, systemd.options.parse({}))).toThrowError(expect.objectContaining({ code: 'DMAS_EXPORT' }));
  });

  const analyzer = spawnSync('systemd-analyze', ['--version']).status === 0;
  it.skipIf(!analyzer).each(kinds)('%s are taken by systemd itself', async (_, input) => {
    const folder = await mkdtemp(join(tmpdir(), 'dmas-systemd-'));
    try {
      // Programs that are certainly here: whether they are where the files say is not the question.
      const files = (await emitted(await input(), { node: process.execPath })).filter(({ path }) => path.startsWith('units/'));
      const here = files.map((file) => ({
        ...file,
        content: file.content.replace(/^ExecStart=(?:python3|\/usr\/sbin\/nginx)/m, `ExecStart=${process.execPath}`),
      }));
      await writeFiles(folder, here);
      const told = spawnSync('systemd-analyze', ['verify', '--man=no', ...here.map(({ path }) => join(folder, path))], {
        encoding: 'utf8',
      });
      const said = told.stderr.split('\n').filter((line) => line.includes('newsroom'));
      expect([told.status, said]).toEqual([0, []]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
