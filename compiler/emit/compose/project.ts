import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { type Agent, fail, type LogicalAddress, type Plan, type PlannedUnit, type Workflow } from '../../contracts/index.ts';
import { egressCallerOf } from '../../plan/members.ts';
import { printPlan } from '../../plan/print.ts';
import type { EmitInput, EmittedFile } from '../emitter.ts';
import { hostNameOf } from '../host-name.ts';
import { controlPort, type StandingMember, standingDefaults, standingMembers } from '../standing.ts';
import { type Balancer, balancersOf, nginxConfiguration, withBalancers } from './balancers.ts';
import { escaped, foreignService, secretOf } from './foreign.ts';
import { type ComposeNetworks, composeNetworks } from './networks.ts';
import { composeReadme } from './readme.ts';
import { bindingFile, type ComposeSettings, settingsOf, stateFolder, userOfOurs } from './settings.ts';

/**
 * The files of a Compose project. Replicas share one service and find one another by its name; everything a container
 * may not do is denied in the file.
 *
 * @throws DmasError DMAS_EXPORT
 */
export function emitCompose(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[] {
  const { plan, bundles, access, facts } = input;
  refuse(plan);
  const settings = settingsOf(options);
  const members = standingMembers(plan, bundles, {
    deploymentId: deploymentIdOf(plan),
    hostOf: hostNameOf,
    otlpEndpoints: [],
    samplingRatio: 1,
    ...standingDefaults,
    stateDir: stateFolder,
  });
  const balancers = balancersOf(members, access);
  const networks = composeNetworks(withBalancers(access, members, balancers));
  const images = members.flatMap((member) => (member.binding === null ? [] : [imageOf(member, settings)]));
  const proxies = balancers.map((balancer) => proxyImage(balancer, settings));
  const kept = members.filter((member) => keepsState(member, input.workflow)).map(({ id }) => id);
  const around: Around = { input, settings, networks, members, balancers, kept };
  const services = Object.fromEntries([
    ...members.map((member) => {
      const image = images.find(({ id }) => id === member.id);
      return [hostNameOf(member.id), image === undefined ? othersService(member, around) : oursService(member, image, around)] as const;
    }),
    ...balancers.map((balancer, index) => [balancer.host, proxyService(balancer, proxies[index]?.tag ?? '', around)] as const),
  ]);
  const file = { services, networks: networks.networks, ...(kept.length > 0 ? { volumes: { state: {} } } : {}) };
  const head = `# ${plan.application} as Docker Compose runs it. Written by dmas-opt from ${facts.origin}; see README.md.\n`;
  return [
    { path: 'compose.yaml', content: head + stringify(file, { lineWidth: 0, aliasDuplicateObjects: false }) },
    { path: '.env', content: variables(plan, settings, balancers, networks) },
    { path: 'README.md', content: composeReadme(input, { settings, members, balancers, networks, kept }) },
    { path: 'plan.txt', content: printPlan(plan) },
    ...[...images, ...proxies].flatMap(({ files }) => files),
  ];
}

interface Around {
  readonly input: EmitInput;
  readonly settings: ComposeSettings;
  readonly networks: ComposeNetworks;
  readonly members: readonly StandingMember[];
  readonly balancers: readonly Balancer[];
  /** Ids of the members whose state outlives them. */
  readonly kept: readonly string[];
}

export const deploymentIdOf = ({ application, configurationId }: Plan): string => `${application}-${configurationId}`;

function refuse({ services, units }: Plan): void {
  const native = services.find(({ kind, options }) => kind === 'model' && options.backend === 'llama-cpp');
  if (native !== undefined)
    fail('DMAS_EXPORT', `service ${native.id} runs llama.cpp inside Node.js, whose native library no image built from these files has`, {
      fix: 'run a llama.cpp server and name it with backend: openai-compatible',
    });
  const socket = units.flatMap(({ listens }) => listens).find(({ options }) => options.transport === 'unix');
  if (socket !== undefined)
    fail('DMAS_EXPORT', `${socket.address} is a unix socket, which containers do not share`, { fix: 'give the channel transport: tcp' });
  const bare = [...units, ...services].find(({ program }) => program !== undefined && program.image === undefined);
  if (bare !== undefined)
    fail('DMAS_EXPORT', `${bare.id} is a program of others without an image`, { fix: 'name its image in the scenario' });
}

interface Image {
  /** Of the member; a host name for what is no member. */
  readonly id: string;
  /** Changes with everything inside, so that an older image stays what it was. */
  readonly tag: string;
  readonly files: readonly EmittedFile[];
}

function imageOf({ id, binding, bundle, ports, listens }: StandingMember, { nodeImage }: ComposeSettings): Image {
  const callers = listens.flatMap(({ address }) => egressCallerOf(address) ?? []);
  // Nobody but the health check asks, and that runs inside.
  const inside = {
    ...binding,
    control: { host: '127.0.0.1', port: controlPort },
    // Networks of an engine know no ports, so the way out knows its callers by their addresses too.
    ...(callers.length === 0 ? {} : { callers: Object.fromEntries(callers.map((caller) => [caller, hostNameOf(caller)])) }),
  };
  const code = bundle?.code ?? fail('DMAS_EXPORT', `there is no bundle for ${id}`);
  const dockerfile = `# Written by dmas-opt. Any image with Node.js 20 or newer will do; nothing is installed.
ARG NODE_IMAGE=${nodeImage}
FROM \${NODE_IMAGE}
COPY unit.mjs binding.json /app/
COPY --chown=${userOfOurs} state ${stateFolder}
ENV NODE_ENV=production DMAS_BINDING=${bindingFile}
USER ${userOfOurs}
${ports.map(({ port }) => `EXPOSE ${port}\n`).join('')}ENTRYPOINT ["node", "/app/unit.mjs"]
`;
  return image(id, [
    { path: 'Dockerfile', content: dockerfile },
    { path: 'unit.mjs', content: code },
    { path: 'binding.json', content: `${JSON.stringify(inside, null, 2)}\n` },
    // Gives the folder its owner: a volume that is new takes that over.
    { path: 'state/.keep', content: '' },
  ]);
}

function proxyImage(balancer: Balancer, { nginxImage }: ComposeSettings): Image {
  const dockerfile = `# Written by dmas-opt.
ARG NGINX_IMAGE=${nginxImage}
FROM \${NGINX_IMAGE}
COPY nginx.conf /etc/nginx/nginx.conf
USER ${userOfOurs}
ENTRYPOINT ["nginx", "-g", "daemon off;"]
`;
  return image(balancer.host, [
    { path: 'Dockerfile', content: dockerfile },
    { path: 'nginx.conf', content: nginxConfiguration(balancer) },
  ]);
}

function image(id: string, files: readonly EmittedFile[]): Image {
  const hash = createHash('sha256');
  for (const { path, content } of files) hash.update(`${path}\0${content.length}\0${content}`);
  const folder = `images/${hostNameOf(id)}`;
  return { id, tag: hash.digest('hex').slice(0, 12), files: files.map((file) => ({ ...file, path: `${folder}/${file.path}` })) };
}

/** Asks whether it and everything it calls is there. A Node.js for each question: about 0.1 CPU-seconds, so not often. */
const readyCheck = `require('http').get('http://127.0.0.1:${controlPort}/readyz', (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))`;
/** What a process of ours adds to its drain before it ends itself (see runtime/process-life.ts), rounded up. */
const endMarginSeconds = 3;

function oursService(member: StandingMember, { tag }: Image, around: Around): object {
  const { id, kind, secrets, replicas } = member;
  const { input, settings, kept } = around;
  const built = { image: `${input.plan.application}-${hostNameOf(id)}:${tag}`, build: buildOf(id, 'NODE_IMAGE', settings.nodeImage) };
  return {
    ...built,
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: '${OTEL_EXPORTER_OTLP_ENDPOINT:-}',
      OTEL_TRACES_SAMPLER_ARG: '${OTEL_TRACES_SAMPLER_ARG:-}',
      ...Object.fromEntries(secrets.map((name) => [name, secretOf(name, kind)])),
    },
    deploy: { replicas },
    ...common(member, around),
    user: userOfOurs,
    ...locked,
    ...(kept.includes(id) ? { volumes: [`state:${stateFolder}`] } : {}),
    stop_grace_period: `${Math.ceil(standingDefaults.drainMs / 1000) + endMarginSeconds}s`,
    healthcheck: { test: ['CMD', 'node', '-e', escaped(readyCheck)], interval: '10s', timeout: '10s', retries: 3, start_period: '60s' },
  };
}

function othersService(member: StandingMember, around: Around): object {
  const { input, members, balancers } = around;
  const { program } = member;
  if (program === null) return fail('DMAS_EXPORT', `there is neither a bundle nor a program of ${member.id}`);
  const at = (address: LogicalAddress): string => {
    for (const other of members) {
      const port = other.ports.find((listener) => listener.address === address)?.port;
      const balancer = balancers.find(({ before }) => before === other.id && other.id !== member.id);
      if (port !== undefined) return `${balancer?.host ?? hostNameOf(other.id)}:${port}`;
    }
    return '';
  };
  const access = input.access.members.find(({ id }) => id === member.id) ?? { reaches: [] };
  const place = { deploymentId: deploymentIdOf(input.plan), host: hostNameOf(member.id), at, access };
  return { ...foreignService(member, program, place), ...common(member, around), security_opt: locked.security_opt };
}

function proxyService({ host }: Balancer, tag: string, { input, settings, networks }: Around): object {
  return {
    image: `${input.plan.application}-${host}:${tag}`,
    build: buildOf(host, 'NGINX_IMAGE', settings.nginxImage),
    networks: networks.of(host),
    restart: 'unless-stopped',
    user: userOfOurs,
    ...locked,
  };
}

const buildOf = (id: string, variable: string, byDefault: string) => ({
  context: `./images/${hostNameOf(id)}`,
  args: { [variable]: `\${${variable}:-${byDefault}}` },
});

/** Nothing it does not need: no rights, no new ones, no writing but to scratch and state. */
const locked = { read_only: true, tmpfs: ['/tmp'], cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] };

function common({ id, resources, publicAddress, ports }: StandingMember, { networks, settings }: Around): object {
  const { vcpu, memoryMb } = resources;
  const published = ports.find(({ address }) => address === publicAddress);
  return {
    networks: networks.of(id),
    ...(published === undefined ? {} : { ports: [`\${HOST:-127.0.0.1}:\${PORT:-${settings.port}}:${published.port}`] }),
    ...(vcpu > 0 ? { cpus: vcpu } : {}),
    // The same: no swap beside it.
    ...(memoryMb > 0 ? { mem_limit: `${memoryMb}m`, memswap_limit: `${memoryMb}m` } : {}),
    restart: 'unless-stopped',
  };
}

/** Agents that remember, where what they remember is on disk. */
function keepsState({ planned, kind, id }: StandingMember, { agents }: Workflow): boolean {
  if (kind === 'service') return 'options' in planned && typeof planned.options.store === 'string' && planned.options.store !== 'memory';
  const unit = planned as PlannedUnit;
  const remembers = ({ name, usesSessionState, blackboards }: Agent) =>
    unit.agents.includes(name) && (usesSessionState || blackboards.length > 0);
  return (
    unit.id === id &&
    unit.program === undefined &&
    unit.state.store !== 'memory' &&
    unit.state.address === undefined &&
    agents.some(remembers)
  );
}

function variables(
  { application }: Plan,
  settings: ComposeSettings,
  balancers: readonly Balancer[],
  { networks }: ComposeNetworks,
): string {
  const subnets = Object.values(networks).some((network) => 'ipam' in network);
  return [
    '# Read by Compose. No secrets here: they come from your shell.',
    `COMPOSE_PROJECT_NAME=${hostNameOf(application)}`,
    '# Where users call the application; HOST=0.0.0.0 for every interface of this machine.',
    'HOST=127.0.0.1',
    `PORT=${settings.port}`,
    `NODE_IMAGE=${settings.nodeImage}`,
    ...(balancers.length > 0 ? [`NGINX_IMAGE=${settings.nginxImage}`] : []),
    ...(subnets ? ['# First two numbers of the subnets of its networks; change them where they are taken.', 'SUBNETS=10.198'] : []),
    '',
  ].join('\n');
}
