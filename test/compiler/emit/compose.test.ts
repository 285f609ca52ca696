import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { compose } from '../../../compiler/emit/compose.ts';
import type { EmitInput, EmittedFile } from '../../../compiler/emit/emitter.ts';
import { hostNameOf } from '../../../compiler/emit/host-name.ts';
import { pairsOf } from '../../../compiler/plan/cliques.ts';
import { composeCommand, writeFiles } from '../../interop/compose-project.ts';
import { validateCompose } from './compose-schema.ts';
import { asText, emitInput as emitAnyInput, fileOf, foreignly, theirs } from './export-support.ts';

/** Planned for what the format says it can do. */
const emitInput = (wanted: Parameters<typeof emitAnyInput>[0] = {}) =>
  emitAnyInput({ ...wanted, ...(compose.traits.target === undefined ? {} : { target: compose.traits.target }) });

const emitted = async (input: EmitInput, options: object = {}) => (await compose.load()).emit(input, compose.options.parse(options));

interface ComposeFile {
  readonly services: {
    readonly [name: string]: { readonly networks: string[]; readonly environment?: { readonly [name: string]: string } };
  };
  readonly networks: { readonly [name: string]: { readonly internal?: boolean; readonly ipam?: unknown } };
}
const fileIn = (files: readonly EmittedFile[]) => parse(fileOf(files, 'compose.yaml')) as ComposeFile;

const kinds: readonly [string, () => Promise<EmitInput>][] = [
  ['as it is', () => emitInput()],
  ['with a model of others', () => emitInput({ given: theirs })],
  ['with replicas and files for state', () => emitInput({ given: { state: { store: 'file' } }, replicas: 2 })],
  [
    'with an agent of others',
    () =>
      emitInput({
        given: theirs,
        replicas: 2,
        change: foreignly('editor', { image: 'ghcr.io/them/editor:1', command: ['run', '{port}'] }),
      }),
  ],
];

describe('a Compose project', () => {
  it.each(kinds)('%s is what it was', async (name, input) => {
    await expect(asText(await emitted(await input()))).toMatchFileSnapshot(`../../golden/compose/${name.replaceAll(' ', '-')}.txt`);
  });

  it.each(kinds)('%s holds nothing that Compose does not know', async (_, input) => {
    const files = await emitted(await input());
    expect(validateCompose(fileIn(files)), JSON.stringify(validateCompose.errors)).toBe(true);
    expect(await emitted(await input())).toEqual(files);
  });

  it.each(kinds)('%s lets exactly those share a network that may speak', async (_, input) => {
    const { access, ...rest } = await input();
    const { services, networks } = fileIn(await emitted({ access, ...rest }));
    const names = Object.keys(services).filter((name) => !name.startsWith('balancer-'));
    const allowed = new Set(pairsOf(access).map((pair) => pair.map(hostNameOf).sort().join(' ')));
    const balanced = new Set(
      Object.keys(services).flatMap((name) => (name.startsWith('balancer-') ? [name.slice('balancer-'.length)] : [])),
    );
    for (const a of names) {
      for (const b of names.filter((name) => name > a)) {
        const shared = services[a]?.networks.filter((network) => services[b]?.networks.includes(network)) ?? [];
        // A proxy of its own stands between a program of others and what it calls.
        const between = balanced.has(a) || balanced.has(b);
        if (!between) expect([a, b, shared.length > 0]).toEqual([a, b, allowed.has([a, b].sort().join(' '))]);
        for (const network of shared) expect(networks[network]?.internal).toBe(true);
      }
    }
  });

  it.each([
    ['the egress service alone', emitInput, (id: string) => id === 'egress'],
    ['those that call places outside, each its own, where there is no egress service', emitAnyInput, () => true],
  ])('gives a way out to %s', async (_, planned, mayLeave) => {
    const input = await planned({ given: theirs });
    const { services, networks } = fileIn(await emitted(input));
    for (const { id, hosts } of input.access.members) {
      const open = services[hostNameOf(id)]?.networks.filter((network) => network.startsWith('outside__')) ?? [];
      expect([id, open.length]).toEqual([id, hosts.length > 0 && mayLeave(id) ? 1 : 0]);
      for (const network of open) expect(Object.values(services).filter((service) => service.networks.includes(network))).toHaveLength(1);
    }
    expect(Object.keys(networks).some((network) => network.startsWith('outside__'))).toBe(true);
  });

  it('tells the egress service which of its neighbours each port is for', async () => {
    const input = await emitInput({ given: theirs, change: foreignly('editor', { image: 'them/editor:1' }) });
    const files = await emitted(input);
    const binding = JSON.parse(fileOf(files, 'images/egress/binding.json')) as {
      callers: { [id: string]: string };
      listen: { [address: string]: { port: number } };
    };
    const callers = input.access.members.filter(({ through }) => through === 'egress').map(({ id }) => id);
    expect(binding.callers).toEqual(Object.fromEntries(callers.map((id) => [id, hostNameOf(id)])));
    // What somebody else built finds its own port in its environment, and its neighbours are called directly.
    const { environment = {} } = fileIn(files).services.editor ?? {};
    const port = binding.listen['service://egress/editor']?.port;
    expect(environment).toMatchObject({ HTTPS_PROXY: `http://egress:${port}`, http_proxy: `http://egress:${port}` });
    const neighbour = new URL(Object.entries(environment).find(([name]) => name === 'NEXT_URL')?.[1] ?? '').hostname;
    expect(environment.NO_PROXY?.split(',')).toContain(neighbour);
  });

  it('asks for secrets and stores none, for their holders alone', async () => {
    const input = await emitInput({ given: theirs });
    const files = await emitted(input);
    const { services } = fileIn(files);
    for (const { id, secrets } of input.access.members) {
      const told = Object.entries(services[hostNameOf(id)]?.environment ?? {}).filter(([, value]) => value.includes('MODEL_KEY'));
      expect([id, told.length > 0]).toEqual([id, secrets.includes('MODEL_KEY')]);
    }
    expect(files.filter(({ path, content }) => path !== 'compose.yaml' && /MODEL_KEY=./.test(content))).toEqual([]);
  });

  it('puts nginx before replicas that a program of others calls', async () => {
    const files = await emitted(await emitInput({ replicas: 2, change: foreignly('editor', { image: 'them/editor:1' }) }));
    const { services } = fileIn(files);
    const [balancer = ''] = Object.keys(services).filter((name) => name.startsWith('balancer-'));
    const callee = balancer.slice('balancer-'.length);
    const told = Object.entries(services.editor?.environment ?? {});
    expect(told.find(([, value]) => value.includes(balancer))?.[1]).toMatch(/^http:\/\/balancer-[\w-]+:70\d\d/);
    expect(fileOf(files, `images/${balancer}/nginx.conf`)).toContain(`set $replicas http://${callee}:7001;`);
    expect(services.editor?.networks.some((network) => services[callee]?.networks.includes(network))).toBe(false);
    // Compose puts variables in place of a single dollar.
    expect(services.editor?.environment?.GREETING).toBe('costs $$5 & "more" 100%');
  });

  it('brings its own subnets where an engine would run out of them', async () => {
    const few = fileIn(await emitted(await emitInput({ change: (plan) => ({ ...plan, units: plan.units.slice(0, 2) }) })));
    expect(Object.values(few.networks).filter(({ ipam }) => ipam !== undefined)).toEqual([]);
    const change = (plan: EmitInput['plan']): EmitInput['plan'] => {
      const [model] = plan.services;
      if (model === undefined) throw new Error('no service');
      const copies = Array.from({ length: 12 }, (_, n) => ({
        ...model,
        id: `router-${n}`,
        kind: 'router' as const,
        options: { upstream: `service://${model.id}` },
      }));
      return { ...plan, services: [...plan.services, ...copies] };
    };
    const { networks } = fileIn(await emitted(await emitInput({ change })));
    const subnets = Object.values(networks).map(({ ipam }) => JSON.stringify(ipam));
    expect(new Set(subnets).size).toBe(Object.keys(networks).length);
    expect(subnets[0]).toContain('${SUBNETS:-10.198}.0.0/24');
  });

  it.each([
    [
      'a unix socket',
      (plan: EmitInput['plan']) => ({
        ...plan,
        units: plan.units.map((unit) => ({ ...unit, listens: unit.listens.map((each) => ({ ...each, options: { transport: 'unix' } })) })),
      }),
    ],
    ['a program without an image', foreignly('editor', { command: ['python3', 'x.py'] })],
  ])('refuses %s with a fix', async (_, change) => {
    const input = await emitInput({ change });
    const load = await compose.load();
    expect(() => load.emit(input, compose.options.parse({}))).toThrowError(expect.objectContaining({ code: 'DMAS_EXPORT' }));
  });

  it.skipIf(composeCommand === undefined).each(kinds)('%s is taken by Compose itself', async (_, input) => {
    const folder = await mkdtemp(join(tmpdir(), 'dmas-compose-'));
    try {
      const given = await input();
      const secrets = Object.fromEntries(given.access.members.flatMap((member) => member.secrets.map((name) => [name, 'x'])));
      await writeFiles(folder, await emitted(given));
      const [file = '', ...first] = composeCommand ?? [];
      const told = spawnSync(file, [...first, 'config', '--quiet'], {
        cwd: folder,
        env: { ...process.env, ...secrets },
        encoding: 'utf8',
      });
      expect([told.status, told.stderr]).toEqual([0, expect.not.stringContaining('ERROR')]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('host names', () => {
  it('are valid and differ for ids that differ', () => {
    const ids = ['a', 'a+b', 'a-b', 'A-b', 'a_b', 'x'.repeat(70), `${'x'.repeat(69)}y`, 'model-main@a+b', '9lives', '-'];
    const names = ids.map(hostNameOf);
    for (const name of names) expect(name).toMatch(/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/);
    expect(new Set(names).size).toBe(ids.length);
  });
});
