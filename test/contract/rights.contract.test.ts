import { readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { PassThrough } from 'node:stream';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePlan } from '../../compiler/bundle.ts';
import type { MemberAccess, Plan, Workflow } from '../../compiler/contracts/index.ts';
import { accessOf } from '../../compiler/plan/access.ts';
import { withEgress } from '../../compiler/plan/egress.ts';
import { egressAddress, plannedMembers } from '../../compiler/plan/members.ts';
import { labels } from '../../runtime/targets/docker/labels.ts';
import { dockerTarget } from '../../runtime/targets/docker.ts';
import { stateDirVariable } from '../../runtime/targets/process/lease.ts';
import type { Deployment, DeployRequest, TargetDescriptor } from '../../runtime/targets/target.ts';
import { fixtureBundle, fixturePlan, fixtureRequest, temporaryFolder, testContext, type UnitSketch } from '../runtime/targets/fixtures.ts';

/** A deployed target as somebody sees it who got into one of its members. */
interface Subject {
  readonly descriptor: TargetDescriptor;
  /** What its networks cannot hold members to; accessOf says more than they enforce. */
  readonly lacks: { readonly direction: boolean; readonly ports: boolean };
  /** Addresses of a member, as seen from anywhere in the deployment. */
  addressesOf(deployment: Deployment, member: string): Promise<readonly string[]>;
  /** Runs a program of Node.js inside a member and gives back what it prints. */
  runInside(deployment: Deployment, member: string, code: string, argument: string): Promise<string>;
}

async function containerOf(deployment: Deployment, member: string): Promise<Docker.Container> {
  const docker = new Docker();
  const all = await docker.listContainers({ filters: JSON.stringify({ label: [`${labels.deployment}=${deployment.id}`] }) });
  const found = all.find(({ Labels }) => new RegExp(`(^|[^a-z])${member}[^a-z]`).test(`${Labels[labels.replica]} `));
  if (found === undefined) throw new Error(`no container of ${member}`);
  return docker.getContainer(found.Id);
}

const docker: Subject = {
  descriptor: dockerTarget,
  // A bridge joins its members both ways and on every port.
  lacks: { direction: true, ports: true },
  async addressesOf(deployment, member) {
    const { NetworkSettings } = await (await containerOf(deployment, member)).inspect();
    return Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
  },
  async runInside(deployment, member, code, argument) {
    const container = await containerOf(deployment, member);
    const running = await container.exec({
      Cmd: ['node', '--input-type=module', '-e', code, argument],
      AttachStdout: true,
      AttachStderr: true,
    });
    const stream = await running.start({});
    const output = new PassThrough();
    const errors = new PassThrough();
    new Docker().modem.demuxStream(stream, output, errors);
    const pieces: Buffer[] = [];
    const complaints: Buffer[] = [];
    output.on('data', (piece: Buffer) => pieces.push(piece));
    errors.on('data', (piece: Buffer) => complaints.push(piece));
    await new Promise((resolve) => stream.once('end', resolve));
    const text = Buffer.concat(pieces).toString();
    if (text === '') throw new Error(Buffer.concat(complaints).toString());
    return text;
  },
};

interface Seen {
  readonly opened: { readonly [member: string]: { readonly [place: string]: boolean } };
  readonly byName: { readonly [place: string]: boolean };
  readonly tunnelled: readonly { readonly caller: string; readonly to: string; readonly answer: { status: number; said: string } | null }[];
  readonly environment: { readonly [name: string]: string };
  readonly user: number;
}

const sketches: readonly UnitSketch[] = [
  { id: 'door', ingress: true, calls: ['left', 'right'], secrets: ['SECRET_OF_DOOR'] },
  { id: 'left', calls: ['deep'], secrets: ['SECRET_OF_LEFT'] },
  { id: 'right', secrets: ['SECRET_OF_RIGHT'] },
  { id: 'deep' },
];
const secrets = { SECRET_OF_DOOR: 'd', SECRET_OF_LEFT: 'l', SECRET_OF_RIGHT: 'r' };
const lookAround = readFileSync(new URL('../fixtures/units/look-around.mjs', import.meta.url), 'utf8');
/** Control, and more listeners than any member of the plan has. */
const ports = [7000, 7001, 7002, 7003];

/** This machine as containers with a way out see it: none of its loopback addresses. */
const here = Object.values(networkInterfaces())
  .flat()
  .find((face) => face?.family === 'IPv4' && !face.internal)?.address;

async function missingOf({ load }: TargetDescriptor): Promise<string | null> {
  if (here === undefined) return 'this machine has no address but its loopback';
  const { create } = await load();
  return (await create({}).check()).find(({ severity }) => severity === 'error')?.message ?? null;
}

/** Somebody outside who says a name. */
async function speaker(name: string): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}).end(name));
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

for (const subject of [docker]) {
  const missing = await missingOf(subject.descriptor);
  describe.skipIf(missing !== null)(`rights on target ${subject.descriptor.id}${missing ? `: skipped, ${missing}` : ''}`, () => {
    let plan: Plan;
    let members: readonly MemberAccess[];
    let deployment: Deployment;
    let folder: string;
    let registry: string;
    const speakers: Record<string, { readonly server: Server; readonly port: number }> = {};
    const seen = new Map<string, Seen>();
    const places = () => ({ mine: `${here}:${speakers.mine?.port}`, theirs: `${here}:${speakers.theirs?.port}` });

    beforeAll(async () => {
      registry = temporaryFolder();
      process.env[stateDirVariable] = registry;
      folder = temporaryFolder();
      for (const name of ['mine', 'theirs']) speakers[name] = await speaker(name);
      const bare = fixturePlan(subject.descriptor.id, sketches);
      const hostsOf: { readonly [id: string]: 'mine' | 'theirs' } = { left: 'mine', right: 'theirs' };
      const units = bare.units.map((unit) => {
        const name = hostsOf[unit.id];
        return name === undefined ? unit : { ...unit, hosts: [{ host: here ?? '', port: speakers[name]?.port ?? 0, for: [unit.id] }] };
      });
      plan = withEgress({ ...bare, units }, []);
      members = accessOf(plan).members;
      const egress = plan.services.filter(({ kind }) => kind === 'egress');
      const real = await bundlePlan({
        plan: { ...plan, units: [], services: egress },
        workflow: { file: import.meta.filename } as Workflow,
      });
      const request: DeployRequest = fixtureRequest(plan, folder, {
        bundles: [...real, ...plan.units.map(({ id }) => fixtureBundle(id))],
        environment: secrets,
        readyTimeoutMs: 60_000,
      });
      deployment = await (await subject.descriptor.load()).create({ drainMs: 500 }).deploy(request, testContext());
      const where = await Promise.all(members.map(async ({ id }) => [id, await subject.addressesOf(deployment, id)] as const));
      const listeners = plannedMembers(plan).find(({ id }) => id === 'egress')?.listens ?? [];
      const proxyPort = (caller: string) => 7001 + listeners.findIndex(({ address }) => address === egressAddress(caller));
      for (const { id } of members) {
        const others = where.filter(([other]) => other !== id);
        const argument = JSON.stringify({
          places: others.flatMap(([other, addresses]) => addresses.flatMap((host) => ports.map((port) => ({ id: other, host, port })))),
          names: Object.values(places()).map((place) => ({ host: place.split(':')[0], port: Number(place.split(':')[1]) })),
          proxies: (where.find(([other]) => other === 'egress')?.[1] ?? []).flatMap((host) =>
            ['left', 'right'].flatMap((caller) => Object.values(places()).map((to) => ({ caller, host, port: proxyPort(caller), to }))),
          ),
        });
        seen.set(id, JSON.parse(await subject.runInside(deployment, id, lookAround, argument)) as Seen);
      }
    }, 180_000);

    afterAll(async () => {
      await deployment?.stop();
      for (const { server } of Object.values(speakers)) server.close();
      for (const path of [folder, registry]) if (path) rmSync(path, { recursive: true, force: true });
    }, 60_000);

    /** Members of whose addresses any port answered. */
    const reachedBy = (id: string) =>
      Object.entries(seen.get(id)?.opened ?? {})
        .filter(([, tried]) => Object.values(tried).some(Boolean))
        .map(([other]) => other)
        .sort();
    const mayReach = (id: string) => {
      const own = members.find((member) => member.id === id);
      const callers = subject.lacks.direction ? (own?.accepts ?? []) : [];
      return [...new Set([...(own?.reaches.map(({ to }) => to) ?? []), ...callers])].filter((other) => other !== id).sort();
    };

    it('lets each member reach whom it calls, and nobody else', () => {
      for (const { id } of members) expect([id, reachedBy(id)]).toEqual([id, mayReach(id)]);
    });

    it.skipIf(subject.lacks.ports)('opens the listener that is called, and no other port', () => {
      for (const { id } of members) {
        const tried = Object.values(seen.get(id)?.opened ?? {}).flatMap((each) => Object.entries(each));
        const open = tried.filter(([, worked]) => worked).map(([place]) => Number(place.split(':')[1]));
        expect(open).not.toContain(7000);
      }
    });

    it('has no way out but the one', () => {
      for (const { id } of members.filter((member) => member.id !== 'egress'))
        expect([id, Object.values(seen.get(id)?.byName ?? {})]).toEqual([id, [false, false]]);
    });

    /** Everything a member got out of the egress service, on whatever address of it, as caller and place → answers. */
    const throughEgress = (id: string, caller: string, to: string) => [
      ...new Set(
        (seen.get(id)?.tunnelled ?? [])
          .filter((tried) => tried.caller === caller && tried.to === to)
          .flatMap(({ answer }) => answer?.status ?? []),
      ),
    ];

    it('reaches the places it declares through it, and no others', () => {
      expect(throughEgress('left', 'left', places().mine)).toEqual([200]);
      expect(throughEgress('right', 'right', places().theirs)).toEqual([200]);
      expect(seen.get('left')?.tunnelled.find(({ answer }) => answer?.status === 200)?.answer?.said).toBe('mine');
      expect(throughEgress('left', 'left', places().theirs)).toEqual([403]);
      expect(throughEgress('right', 'right', places().mine)).toEqual([403]);
    });

    it('is refused on a listener that is another’s', () => {
      expect(throughEgress('left', 'right', places().theirs)).toEqual([403]);
      expect(throughEgress('right', 'left', places().mine)).toEqual([403]);
    });

    it('gives those that call nothing outside no answer at all', () => {
      for (const id of ['door', 'deep']) expect([id, seen.get(id)?.tunnelled.filter(({ answer }) => answer !== null)]).toEqual([id, []]);
    });

    it('holds its own secrets alone, and is nobody’s root', () => {
      for (const { id, secrets: own } of members) {
        const { environment = {}, user } = seen.get(id) ?? {};
        expect([id, Object.keys(environment).filter((name) => name in secrets)]).toEqual([id, own]);
        expect(user).not.toBe(0);
      }
    });
  });
}
