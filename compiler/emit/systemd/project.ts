import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import {
  type Agent,
  type BindAddress,
  type Bundle,
  fail,
  type LogicalAddress,
  type MemberAccess,
  type Peers,
  type Plan,
  type PlannedUnit,
  type ProcessBinding,
  type Workflow,
} from '../../contracts/index.ts';
import { printPlan } from '../../plan/print.ts';
import { commandLine, programEnvironment } from '../../plan/program-environment.ts';
import type { EmitInput, EmittedFile } from '../emitter.ts';
import { hostNameOf } from '../host-name.ts';
import { standingDefaults } from '../standing.ts';
import { type Balancer, balancersOf, nginxConfiguration } from './balancers.ts';
import { type Place, peersOf, placesOf, type SystemdSettings, settingsOf } from './places.ts';
import { systemdReadme } from './readme.ts';
import { outsideAddresses, type ServiceFile, serviceText, targetText } from './unit-file.ts';

/** What a process of ours adds to its drain before it ends itself (see runtime/process-life.ts), rounded up. */
const endMarginSeconds = 3;
/** The source of whoever connects to another loopback address. */
const loopback = '127.0.0.1';

/**
 * Unit files, bundles and bindings of a plan for one machine. Every replica has a loopback address and ports that are fixed,
 * so all of them are told each other's when the files are written.
 *
 * @throws DmasError DMAS_EXPORT
 */
export function emitSystemd(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[] {
  const { plan, bundles, access, workflow } = input;
  const settings = settingsOf(options);
  refuse(plan);
  const places = placesOf(plan, settings);
  const balancers = balancersOf(places, access, settings);
  const application = hostNameOf(plan.application);
  const around: Around = { input, settings, application, places, balancers, peers: peersOf(places) };
  const own = places.filter(({ member }) => member.program === null);
  const codes = new Map(own.map(({ member }) => [member.id, codeOf(member.id, bundles)]));
  const services = places.map((place) => serviceOf(place, around, remembers(place, workflow)));
  const examples = new Map(
    services.flatMap(({ place, secretLines }) => (secretLines.length > 0 ? [[hostNameOf(place.member.id), secretLines]] : [])),
  );
  return [
    { path: `units/${application}.target`, content: targetText(`${plan.application}, as dmas-opt laid it out`) },
    ...services.map(({ place, file }) => ({ path: `units/${unitName(application, place.name)}`, content: serviceText(file) })),
    ...balancers.map((balancer) => ({
      path: `units/${unitName(application, balancer.name)}`,
      content: serviceText(balancerService(balancer, around)),
    })),
    ...balancers.map((balancer) => ({ path: `nginx/${balancer.name}.conf`, content: nginxConfiguration(balancer) })),
    ...[...codes].map(([id, content]) => ({ path: `bundles/${hostNameOf(id)}.mjs`, content })),
    ...own.map((place) => ({
      path: `bindings/${place.name}.json`,
      content: `${JSON.stringify(bindingOf(place, around, workflow), null, 2)}\n`,
    })),
    ...[...examples].map(([host, lines]) => ({ path: `environment/${host}.env.example`, content: `${lines.join('\n')}\n` })),
    { path: 'README.md', content: systemdReadme(input, { settings, application, places, balancers, examples: [...examples.keys()] }) },
    { path: 'plan.txt', content: printPlan(plan) },
  ];
}

interface Around {
  readonly input: EmitInput;
  readonly settings: SystemdSettings;
  readonly application: string;
  readonly places: readonly Place[];
  readonly balancers: readonly Balancer[];
  readonly peers: Peers;
}

export const unitName = (application: string, name: string): string => `${application}-${name}.service`;

function refuse({ units, services }: Plan): void {
  const bridged = units.find(({ program }) => program?.stdio !== undefined);
  if (bridged !== undefined)
    fail('DMAS_EXPORT', `${bridged.id} speaks MCP on its standard streams, before which a service would need a bridge`, {
      fix: 'let it speak streamable HTTP',
    });
  const bare = [...units, ...services].find(({ program }) => program !== undefined && program.command === undefined);
  if (bare !== undefined)
    fail('DMAS_EXPORT', `${bare.id} is given by an image, which systemd does not start`, { fix: 'use compose or kubernetes' });
}

const codeOf = (id: string, bundles: readonly Bundle[]): string =>
  bundles.find((bundle) => bundle.id === id)?.code ?? fail('DMAS_EXPORT', `there is no bundle for ${id}`);

const remembers = ({ member }: Place, { agents }: Workflow): boolean => {
  if (member.kind === 'service') return 'options' in member.planned && typeof member.planned.options.store === 'string';
  const unit = member.planned as PlannedUnit;
  const keeps = ({ name, usesSessionState, blackboards }: Agent) =>
    unit.agents.includes(name) && (usesSessionState || blackboards.length > 0);
  return unit.program === undefined && unit.state.store !== 'memory' && unit.state.address === undefined && agents.some(keeps);
};

const controlSocket = (application: string, name: string): string => `/run/${application}/${name}/control.sock`;

function bindingOf(place: Place, { input, application, peers }: Around, workflow: Workflow): ProcessBinding {
  const { member, replica, name, ports } = place;
  const access = accessOf(input, member.id);
  const called = new Set(access?.reaches.map(({ address }) => address));
  return {
    deploymentId: `${input.plan.application}-${input.plan.configurationId}`,
    id: member.id,
    replica,
    instanceId: name,
    // In a folder of its own: nobody else may ask it to drain.
    control: { path: controlSocket(application, name) },
    listen: Object.fromEntries(ports.map(({ address, host, port }): [LogicalAddress, BindAddress] => [address, { host, port }])),
    peers: Object.fromEntries(Object.entries(peers).filter(([address]) => called.has(address))),
    otlpEndpoints: [],
    samplingRatio: 1,
    stateDir: remembers(place, workflow) ? `/var/lib/${application}` : '/tmp',
    ...standingDefaults,
  };
}

const accessOf = ({ access }: EmitInput, id: string): MemberAccess | undefined => access.members.find((member) => member.id === id);

interface Written {
  readonly place: Place;
  readonly file: ServiceFile;
  /** Lines of its environment file, values left out. */
  readonly secretLines: readonly string[];
}

function serviceOf(place: Place, around: Around, keeps: boolean): Written {
  const { member, name, ports, replica } = place;
  const { input, settings, application } = around;
  const { plan } = input;
  const told = member.program === null ? ours(place, around) : theirs(place, around);
  const file: ServiceFile = {
    description: `${member.id} of ${plan.application}, replica ${replica}`,
    application,
    command: told.command,
    environment: told.environment,
    environmentFiles: [
      ...(told.secretLines.length > 0
        ? [{ path: `/etc/${application}/${hostNameOf(member.id)}.env`, optional: member.kind === 'service' }]
        : []),
      ...(member.program === null ? [{ path: `/etc/${application}/traces.env`, optional: true }] : []),
    ],
    ...{ vcpu: member.resources.vcpu, memoryMb: member.resources.memoryMb, binds: ports.map(({ port }) => port) },
    stopSeconds: Math.ceil(standingDefaults.drainMs / 1000) + endMarginSeconds,
    ...(member.program === null ? { runtimeFolder: `${application}/${name}` } : {}),
    ...(keeps ? { state: { user: stateUser(plan), folder: application } } : {}),
    ...(member.program === null ? {} : { workingFolder: folderOf(place, around) }),
    addresses: addressesOf(place, around, settings.host),
    foreign: member.program !== null,
    gpus: (member.program?.gpus ?? 0) > 0,
  };
  return { place, file, secretLines: told.secretLines };
}

interface Told {
  readonly command: readonly string[];
  readonly environment: { readonly [name: string]: string };
  readonly secretLines: readonly string[];
}

function ours({ member, name }: Place, { settings, application }: Around): Told {
  const folder = `${settings.folder}/${application}`;
  return {
    command: [settings.node, `${folder}/bundles/${hostNameOf(member.id)}.mjs`],
    environment: { NODE_ENV: 'production', DMAS_BINDING: `${folder}/bindings/${name}.json` },
    secretLines: member.secrets.map((secret) => `${secret}=`),
  };
}

function theirs({ member, name, replica, ports }: Place, { input, places, balancers }: Around): Told {
  const { program, id } = member;
  if (program === null) return fail('DMAS_EXPORT', `there is neither a bundle nor a program of ${id}`);
  const port = ports[0]?.port ?? 0;
  const at = (address: LogicalAddress): string => {
    const [first] = places.filter((place) => place.ports.some((each) => each.address === address));
    const listener = first?.ports.find((each) => each.address === address);
    const balancer = balancers.find(({ before }) => before === first?.member.id && before !== id);
    return listener === undefined ? '' : `${balancer?.ip ?? listener.host}:${listener.port}`;
  };
  const secrets = Object.fromEntries(member.secrets.map((secret) => [secret, tokenOf(secret)]));
  const all = programEnvironment({
    program: { planned: program, component: member.component, models: member.models, reaches: {} },
    ...{ unit: id, replica, instanceId: name, deploymentId: `${input.plan.application}-${input.plan.configurationId}` },
    ...{ otlpEndpoints: [], port, at, secrets },
  });
  const entries = Object.entries(all);
  const secret = entries.filter(([, value]) => isSecret(value));
  return {
    command: commandLine(program.command ?? [], port),
    environment: Object.fromEntries(entries.filter(([, value]) => !isSecret(value))),
    secretLines: secret.map(([variable]) => `${variable}=`),
  };
}

const tokenOf = (name: string) => `@dmas-opt:secret:${name}@`;
const isSecret = (value: string) => value.includes('@dmas-opt:secret:');

/** Where a command of others runs on that machine. */
function folderOf({ member }: Place, { input, settings }: Around): string {
  return join(settings.sourceFolder === '' ? dirname(input.facts.scenarioFile) : settings.sourceFolder, member.program?.folder ?? '.');
}

/** Whoever connects comes from 127.0.0.1, so that is open for all; beyond it only the replicas of what a member calls. */
function addressesOf({ member }: Place, { input, places, balancers }: Around, host: string): readonly string[] | null {
  const access = accessOf(input, member.id);
  const outside = outsideAddresses(access ?? { hosts: [] });
  const calledFromAfar = member.publicAddress !== null && host !== loopback;
  if (outside === null || calledFromAfar) return null;
  const callees = new Set(access?.reaches.map(({ to }) => to));
  const reached = places.filter((place) => callees.has(place.member.id)).flatMap(({ ports }) => ports.map((port) => port.host));
  const proxies = member.program === null ? [] : balancers.filter(({ before }) => callees.has(before)).map(({ ip }) => ip);
  return [...new Set([loopback, ...reached, ...proxies, ...outside])];
}

/** Everybody who shares state is one user, which is there while one of them runs. A name of a user has at most 31 letters. */
const stateUser = ({ application }: Plan): string => `dmas-${createHash('sha256').update(application).digest('hex').slice(0, 8)}`;

function balancerService({ name, before, replicas }: Balancer, { input, settings, application }: Around): ServiceFile {
  return {
    description: `nginx before ${before} of ${input.plan.application}`,
    application,
    command: ['/usr/sbin/nginx', '-e', 'stderr', '-c', `${settings.folder}/${application}/nginx/${name}.conf`, '-g', 'daemon off;'],
    ...{ environment: {}, environmentFiles: [], vcpu: 0, memoryMb: 0, stopSeconds: endMarginSeconds },
    binds: [...new Set((replicas[0]?.ports ?? []).map(({ port }) => port))],
    addresses: [...new Set([loopback, ...replicas.flatMap(({ ports }) => ports.map(({ host }) => host))])],
    ...{ foreign: false, gpus: false },
  };
}
