import {
  calledIfOther,
  type FoundComponent,
  type FoundEdge,
  type FoundModel,
  type FoundService,
  type FoundSystem,
  type Question,
  scenarioName,
} from './found.ts';

/** One deployed program as compose and Kubernetes both describe it. */
export interface Container {
  /** The source's name of it. */
  readonly called: string;
  /** Names under which others reach it (service names, aliases). */
  readonly hosts: readonly string[];
  readonly image: string | undefined;
  /** Built from a folder instead of pulled. */
  readonly build?: string;
  readonly command?: readonly string[];
  /** `undefined` for a value that is not in the source (a secret's, or one taken from the shell). */
  readonly environment: { readonly [name: string]: string | undefined };
  readonly ports: readonly number[];
  /** Reachable from outside. */
  readonly published: boolean;
  readonly startsAfter: readonly string[];
  readonly replicas?: number;
  readonly resources?: FoundComponent['resources'];
  readonly autoscaling?: FoundComponent['autoscaling'];
  /** Why its replicas may not change, where that is so. */
  readonly pinned?: string;
  readonly place: string;
}

/** Images of well-known things that are no agents, by what stands in their name. */
const infrastructure: readonly (readonly [RegExp, string])[] = [
  [/(^|\/)(postgres|mysql|mariadb|mongo|cockroach|clickhouse)/, 'database'],
  [/(^|\/)(redis|valkey|memcached|dragonfly)/, 'cache'],
  [/(^|\/)(qdrant|weaviate|chroma|milvus|pgvector|opensearch|elasticsearch)/, 'vector or search store'],
  [/(^|\/)(nats|rabbitmq|kafka|redpanda|pulsar)/, 'broker'],
  [/(^|\/)(jaeger|otel|opentelemetry|grafana|prom\/|prometheus|loki|tempo|zipkin|langfuse|phoenix)/, 'telemetry'],
  [/(^|\/)(nginx|traefik|envoy|caddy|haproxy|kong)/, 'proxy'],
  [/(^|\/)(minio|vault|keycloak)/, 'infrastructure'],
];
const modelServers = /(^|\/)(vllm|ollama|text-generation-inference|llama\.?cpp|sglang|tritonserver|localai|litellm)/;

const portVariable = 'PORT';
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Credentials inside a URL, and the beginnings that well-known providers give their keys. */
const secretValue = /:\/\/[^/\s@]+@|^(sk-|gh[pousr]_|xox[abp]-|AKIA|eyJ|-----BEGIN)/;
const secretName = /(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|PASSPHRASE|PWD|CREDENTIAL|DSN|AUTH|COOKIE|PRIVATE)S?(_|$)/i;
const modelUrlName = /^(OPENAI_(BASE_URL|API_BASE)|LLM_(BASE_)?URL|MODEL_(BASE_)?URL|VLLM_(BASE_)?URL|OLLAMA_(HOST|BASE_URL))$/;

/** Sorts containers into agents, model servers and the rest, and finds edges in the addresses they were given. */
export function systemOfContainers(name: string, containers: readonly Container[]): FoundSystem {
  const agents = containers.filter((container) => roleOf(container) === 'agent');
  const byHost = new Map(containers.flatMap((container) => container.hosts.map((host) => [host.toLowerCase(), container] as const)));
  const edges: FoundEdge[] = [];
  const components: FoundComponent[] = [];
  const models = new Map<string, KnownModel>();
  const questions: Question[] = [];
  for (const container of containers.filter((each) => roleOf(each) === 'model')) {
    const port = container.ports[0];
    models.set(container.called, {
      name: scenarioName(container.called),
      url: `http://${container.hosts[0] ?? container.called}${port === undefined ? '' : `:${port}`}/v1`,
      usedBy: [],
      place: container.place,
    });
  }
  for (const container of agents) {
    const component = scenarioName(container.called);
    const neighbours: { [name: string]: string } = {};
    const literal: { [name: string]: string } = {};
    const secrets: string[] = [];
    const asks: { [model: string]: string } = {};
    for (const [variable, value] of Object.entries(container.environment)) {
      // It listens where this says, so it may be told otherwise.
      if (variable === portVariable) continue;
      if (!variableName.test(variable)) {
        questions.push({
          about: component,
          text: `The variable ${JSON.stringify(variable)} of ${container.called} is left out: a shell could not set it.`,
          place: container.place,
        });
        continue;
      }
      if (value === undefined || secretName.test(variable) || secretValue.test(value)) {
        secrets.push(variable);
        continue;
      }
      const peer = hostsIn(value)
        .map((host) => byHost.get(host))
        .find((found) => found !== undefined && found !== container);
      const role = peer === undefined ? undefined : roleOf(peer);
      if (peer !== undefined && role === 'agent') {
        neighbours[variable] = scenarioName(peer.called);
        edges.push({ from: component, to: scenarioName(peer.called), certainty: 'guessed', place: `${container.place} (${variable})` });
        continue;
      }
      const model = modelBehind(variable, value, role === 'model' ? peer : undefined, models, container.place);
      if (model !== undefined) {
        model.usedBy.push(component);
        asks[model.name] = variable;
        continue;
      }
      literal[variable] = value;
    }
    const tells = container.command?.some((word) => secretValue.test(word)) === true;
    if (tells)
      questions.push({
        about: component,
        text: `The command of ${container.called} holds what looks like a secret, so it is left out: can it come from a variable?`,
        place: container.place,
      });
    if (container.image === undefined)
      questions.push({
        about: component,
        text: `${container.called} is built from ${container.build ?? 'source'}: which image shall be run?`,
        place: container.place,
      });
    const port = portVariable in container.environment ? undefined : (container.ports[0] ?? portIn(container, containers));
    if (port === undefined && !(portVariable in container.environment))
      questions.push({
        about: component,
        text: `Which port does ${container.called} listen on? The one the variable PORT names is assumed; port: 8080 says otherwise.`,
        place: container.place,
      });
    questions.push({
      about: component,
      text: `What does ${container.called} speak: http-json, a2a or mcp? http-json is assumed.`,
      place: container.place,
    });
    for (const before of container.startsAfter) {
      const peer = agents.find((each) => each.called === before);
      if (peer === undefined || edges.some((edge) => edge.from === component && edge.to === scenarioName(before))) continue;
      questions.push({
        about: component,
        text: `${container.called} starts after ${before}: does it call it? No address was seen.`,
        place: container.place,
        edge: { from: component, to: scenarioName(before) },
      });
    }
    components.push({
      name: component,
      ...calledIfOther(container.called),
      kind: 'agent',
      mobility: 'replicasOnly',
      reason: container.pinned ?? 'a program of its own in an image: it can be replicated, not taken apart or merged',
      speaks: 'http-json',
      run: {
        kind: 'image',
        image: container.image ?? `${container.called}:latest`,
        ...(container.command === undefined || tells ? {} : { command: container.command }),
        environment: literal,
        neighbours,
        models: asks,
        ...(port === undefined ? {} : { port }),
        secrets: secrets.sort(),
      },
      ...(container.replicas === undefined ? {} : { replicas: container.replicas }),
      ...(container.resources === undefined ? {} : { resources: container.resources }),
      ...(container.autoscaling === undefined ? {} : { autoscaling: container.autoscaling }),
      place: container.place,
    });
  }
  const entry = entryOf(agents, edges);
  if (entry === undefined && agents.length > 0)
    questions.push({
      about: name,
      text: `Which of ${agents.map((each) => each.called).join(', ')} do users call first? None is published alone.`,
    });
  return {
    name: scenarioName(name),
    components,
    edges: unique(edges),
    ...(entry === undefined ? {} : { entry }),
    models: [...models.values()].map((model) => ({ ...model, usedBy: [...new Set(model.usedBy)] })),
    services: containers.flatMap((container) => serviceOf(container)),
    questions,
  };
}

type KnownModel = FoundModel & { usedBy: string[] };

/** The model an address leads to: a server among the containers, or a base URL that is only named. */
function modelBehind(variable: string, value: string, server: Container | undefined, models: Map<string, KnownModel>, place: string) {
  if (server !== undefined) return models.get(server.called);
  if (!modelUrlName.test(variable)) return undefined;
  const known = models.get(value);
  if (known !== undefined) return known;
  const model: KnownModel = { name: models.size === 0 ? 'main' : `model-${models.size + 1}`, url: value, usedBy: [], place };
  models.set(value, model);
  return model;
}

type Role = 'agent' | 'model' | 'service';

function roleOf(container: Container): Role {
  const image = container.image?.toLowerCase() ?? '';
  if (modelServers.test(image)) return 'model';
  return infrastructure.some(([pattern]) => pattern.test(image)) ? 'service' : 'agent';
}

function serviceOf(container: Container): FoundService[] {
  const image = container.image?.toLowerCase() ?? '';
  const what = infrastructure.find(([pattern]) => pattern.test(image))?.[1];
  return what === undefined || roleOf(container) !== 'service' ? [] : [{ name: container.called, what, place: container.place }];
}

/** The port its neighbours were given for it, where they all were given one. */
function portIn(container: Container, containers: readonly Container[]): number | undefined {
  const given = containers
    .flatMap(({ environment }) => Object.values(environment))
    .flatMap((value) => [...(value ?? '').matchAll(/(?:^|\/\/|@)([a-z0-9_.-]+):(\d+)(?=\/|$|,)/gi)])
    .filter(([, host = '']) => container.hosts.some((name) => name.toLowerCase() === host.toLowerCase()))
    .map(([, , port]) => Number(port));
  const [first] = given;
  return first !== undefined && first > 0 && first <= 65_535 && given.every((port) => port === first) ? first : undefined;
}

/** Host names in a value: those of URLs and of `host:port`. */
function hostsIn(value: string): string[] {
  const urls = [...value.matchAll(/[a-z][a-z0-9+.-]*:\/\/(?:[^@/\s]*@)?([a-z0-9_.-]+)/gi)].map(([, host]) => host ?? '');
  const bare = /^([a-z][a-z0-9_.-]*):\d+(\/|$)/i.exec(value)?.[1];
  return [...urls, ...(bare === undefined ? [] : [bare])].map((host) => host.toLowerCase());
}

/** The one published agent, or the one nobody calls. */
function entryOf(agents: readonly Container[], edges: readonly FoundEdge[]): string | undefined {
  const published = agents.filter((container) => container.published);
  if (published.length === 1 && published[0] !== undefined) return scenarioName(published[0].called);
  const called = new Set(edges.map((edge) => edge.to));
  const roots = (published.length > 0 ? published : agents).map((each) => scenarioName(each.called)).filter((name) => !called.has(name));
  return roots.length === 1 ? roots[0] : undefined;
}

const unique = (edges: readonly FoundEdge[]): FoundEdge[] => [...new Map(edges.map((edge) => [`${edge.from}\n${edge.to}`, edge])).values()];
