import {
  canonicalJson,
  type Json,
  type LogicalAddress,
  type Plan,
  type PlannedModel,
  type PlannedProgram,
  type PlannedUnit,
  type Route,
} from '../contracts/index.ts';
import { describeChannel, describeResources, describeUnits } from './describe.ts';

/** A plan for people: units with what they hold, listen on and call, then services and the ingress. */
export function printPlan(plan: Plan): string {
  const { ingress } = plan;
  const entry = ingress.entry.kind === 'agent' ? ingress.entry.agent : `${ingress.entry.publish} => ${ingress.entry.complete}`;
  const through = ingress.gateway === undefined ? '' : ' through the gateway';
  return [
    `${plan.application} on ${plan.target} (${plan.configurationId})`,
    `ingress: ${entry} at ${ingress.unit}${through}, deadline ${ingress.deadlineMs} ms`,
    '',
    `units (${plan.units.length})`,
    ...plan.units.flatMap((unit) => branch(headOf(unit), bodyOf(unit))),
    ...(plan.services.length === 0 ? [] : ['', `services (${plan.services.length})`]),
    ...plan.services.flatMap((service) => {
      const options = Object.entries(service.options).map(([name, value]) => `${name}: ${printOption(value)}`);
      const program = service.program === undefined ? [] : describeProgram(service.program);
      const secrets = program.length > 0 && service.secrets?.length ? [`secrets ${service.secrets.join(', ')}`] : [];
      return branch(`${service.id} x${service.replicas} (${service.kind}, ${describeResources(service.resources)})`, [
        ...options,
        ...program,
        ...secrets,
      ]);
    }),
    '',
  ].join('\n');
}

/** Scripts of replies can be pages long: of what does not fit a line only the size is told. */
function printOption(value: Json): string {
  const text = canonicalJson(value);
  if (text.length <= 80) return text;
  return Array.isArray(value) ? `${value.length} entries` : `${text.slice(0, 79)}…`;
}

const branch = (head: string, body: readonly string[]) => [
  `  ${head}`,
  ...body.map((line, index) => `    ${index === body.length - 1 ? '└─' : '├─'} ${line}`),
];

const headOf = (unit: PlannedUnit) =>
  `${unit.id} x${unit.replicas} (${describeResources(unit.resources)})${unit.ingress ? ' <- ingress' : ''}`;

/** `http-json`, `http-json(transport=unix)`: an address names the options that differ from their defaults. */
function spokenAt(address: LogicalAddress): string {
  const url = new URL(address);
  return describeChannel({ protocol: url.pathname.slice(1), options: Object.fromEntries(url.searchParams) });
}

/** What is spoken to an external component, which has no address of ours, stands in the route itself. */
const spokenOnRoute = (route: Route): string =>
  route.address.startsWith('unit:') ? spokenAt(route.address) : describeChannel({ protocol: route.protocol, options: {} });

const placeOf = (address: LogicalAddress) => (address.startsWith('unit:') ? unitAt(address) : address);
const unitAt = (address: LogicalAddress) => address.split('/')[2] ?? address;

function bodyOf(unit: PlannedUnit): string[] {
  return [
    ...unit.agents.map((name) => `agent ${name}`),
    ...unit.toolServers.map((name) => `tools ${name}`),
    ...(unit.program === undefined ? [] : describeProgram(unit.program)),
    ...unit.listens.map((listener) => `listens ${spokenAt(listener.address)}`),
    ...unit.routes.map((route) => {
      const pair = `${route.from}->${route.to}`;
      const on = route.channel === pair ? pair : `${pair} on ${route.channel}`;
      const { limits } = route;
      const notes = [
        ...(route.repeatable ? [] : ['not repeatable']),
        ...(route.balancing === 'session' ? ['by session'] : []),
        ...(limits === undefined ? [] : [`each replica at most ${limits.concurrency} at once, ${Number(limits.perSecond.toFixed(3))}/s`]),
      ];
      return `calls ${on} by ${spokenOnRoute(route)} at ${placeOf(route.address)}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
    }),
    ...unit.topics.map((topic) => `topic ${topic.name} (${topic.delivery}) to ${topic.subscribers.join(', ') || 'nobody'}`),
    ...Object.entries(unit.models).map(([name, model]) => describeModel(name, model)),
    ...Object.entries(unit.agentModels ?? {}).flatMap(([agent, models]) =>
      Object.entries(models).map(([name, model]) => `${describeModel(name, model)} for ${agent}`),
    ),
    ...(unit.state.address === undefined ? [] : [`state ${unit.state.store} at ${unit.state.address}`]),
    ...(unit.secrets.length === 0 ? [] : [`secrets ${unit.secrets.join(', ')}`]),
  ];
}

function describeModel(name: string, { backend, model, address, chosen }: PlannedModel): string {
  return `model ${name}: ${chosen === undefined ? '' : `answered by ${chosen}, `}${backend} ${model} at ${address}`;
}

/** Values under such names are not shown; whoever follows the advice keeps them under `secrets` anyway. */
const secretName = /key|token|secret|passw|credential/i;

function describeProgram(program: PlannedProgram): string[] {
  const { command, image, folder, environment, portVariable, fixedPort, neighbours, models, ready } = program;
  const words = command?.map((part) => (/\s/.test(part) ? `"${part}"` : part)).join(' ');
  const inImage = image === undefined ? '' : `image ${image}`;
  const what = words === undefined ? inImage : `command ${words}${inImage && ` in ${inImage}`}`;
  const inFolder = command === undefined || folder === '.' ? '' : ` in ${folder}`;
  return [
    `runs ${what}${inFolder}`,
    ...(program.gpus === undefined ? [] : [`has ${program.gpus} ${program.gpus === 1 ? 'GPU' : 'GPUs'} to itself`]),
    `${fixedPort === undefined ? `env ${portVariable}: its port` : `listens on ${fixedPort}`}${ready === undefined ? '' : `, ready when ${ready.path} answers`}`,
    ...Object.entries(environment).map(([name, value]) => `env ${name}: ${secretName.test(name) ? '***' : value}`),
    ...Object.entries(neighbours).map(([name, { url, address }]) => `env ${name}: ${url.replace('{at}', placeOf(address))}`),
    ...Object.entries(models).map(([model, { baseUrl, key, model: called }]) => {
      const names = [baseUrl, key, called].filter((name) => name !== undefined);
      return `env ${names.join(', ')}: model ${model}`;
    }),
  ];
}

/** What a second plan changes, one line per change; empty when nothing does. */
export function diffPlans(a: Plan, b: Plan): readonly string[] {
  const components = (unit: PlannedUnit) => ({ ...unit, components: [...unit.agents, ...unit.toolServers].sort() });
  return [
    ...(a.target === b.target ? [] : [`target: ${a.target} -> ${b.target}`]),
    ...describeUnits(a.units.map(components), b.units.map(components)),
    ...changes(spokenIn(a), spokenIn(b), 'inproc'),
    ...changes(servicesIn(a), servicesIn(b), 'none'),
    ...(a.ingress.unit === b.ingress.unit ? [] : [`ingress: ${a.ingress.unit} -> ${b.ingress.unit}`]),
  ];
}

function changes(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>, absent: string): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((key) => {
    const [was, is] = [before.get(key) ?? absent, after.get(key) ?? absent];
    return was === is ? [] : [`${key}: ${was} -> ${is}`];
  });
}

/** What is spoken per pair of ends; a pair that is missing hands over in its process. */
function spokenIn(plan: Plan): Map<string, string> {
  const routes = plan.units.flatMap((unit) => unit.routes);
  return new Map(
    routes.map((route) => {
      const pair = `${route.from}->${route.to}`;
      return [route.channel === pair ? pair : `${route.channel} ${pair}`, spokenOnRoute(route)];
    }),
  );
}

const servicesIn = (plan: Plan) =>
  new Map(plan.services.map(({ id, ...service }) => [`service ${id}`, `x${service.replicas} ${canonicalJson(service.options)}`]));
