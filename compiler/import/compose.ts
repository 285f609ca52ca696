import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { type Container, systemOfContainers } from './containers.ts';
import type { FoundSystem } from './found.ts';

const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const words = z.union([z.string().transform((line) => line.trim().split(/\s+/)), z.array(text)]);
const size = z.union([z.string(), z.number()]);

/** The part of the Compose specification that says how agents are deployed and reach each other. */
const service = z.looseObject({
  image: z.string().optional(),
  build: z.union([z.string(), z.looseObject({ context: z.string().optional() })]).optional(),
  command: words.nullish(),
  environment: z.union([z.record(z.string(), text.nullable()), z.array(text)]).default({}),
  ports: z.array(z.union([text, z.looseObject({ target: z.coerce.number() })])).default([]),
  expose: z.array(text).default([]),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]).default([]),
  networks: z
    .union([z.array(z.string()), z.record(z.string(), z.looseObject({ aliases: z.array(z.string()).optional() }).nullable())])
    .optional(),
  container_name: z.string().optional(),
  scale: z.coerce.number().int().positive().optional(),
  mem_limit: size.optional(),
  cpus: z.coerce.number().positive().optional(),
  deploy: z
    .looseObject({
      replicas: z.coerce.number().int().nonnegative().optional(),
      resources: z
        .looseObject({
          limits: z.looseObject({ cpus: z.coerce.number().optional(), memory: size.optional() }).optional(),
          reservations: z.looseObject({ cpus: z.coerce.number().optional(), memory: size.optional() }).optional(),
        })
        .optional(),
    })
    .optional(),
});
const compose = z.looseObject({ name: z.string().optional(), services: z.record(z.string(), service) });

export const looksLikeCompose = (value: unknown): boolean =>
  value !== null && typeof value === 'object' && 'services' in value && typeof value.services === 'object';

/** What a Compose file deploys. `file` is the name shown in places; `folder` the default project name. */
export function foundInCompose(
  source: string,
  file: string,
  folder: string,
): FoundSystem | { readonly problem: string; readonly line: number } {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, merge: true });
  const lineOf = (path: readonly string[]): number => {
    for (let depth = path.length; depth > 0; depth -= 1) {
      const parent = depth > 1 ? document.getIn(path.slice(0, depth - 1), true) : document.contents;
      const pair = isMap(parent)
        ? parent.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === path[depth - 1])
        : undefined;
      const offset = (pair?.key as { range?: readonly number[] } | undefined)?.range?.[0];
      if (offset !== undefined) return lines.linePos(offset).line;
    }
    return 1;
  };
  const [error] = document.errors;
  if (error !== undefined) return { problem: error.message.split('\n')[0] ?? 'not YAML', line: lines.linePos(error.pos[0]).line };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (thrown) {
    return { problem: (thrown as Error).message, line: 1 };
  }
  const parsed = compose.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = (issue?.path ?? []).map(String);
    return { problem: `${path.join('.') || 'the document'}: ${issue?.message ?? 'unreadable'}`, line: lineOf(path) };
  }
  const containers = Object.entries(parsed.data.services).map(([called, each]): Container => {
    const build = typeof each.build === 'string' ? each.build : each.build?.context;
    const resources = resourcesOf(each);
    const replicas = each.deploy?.replicas ?? each.scale;
    return {
      called,
      hosts: [called, ...(each.container_name === undefined ? [] : [each.container_name]), ...aliasesOf(each.networks)],
      image: each.image,
      ...(build === undefined ? {} : { build }),
      ...(each.command == null ? {} : { command: each.command }),
      environment: environmentOf(each.environment),
      ports: portsOf(each.ports, each.expose),
      published: each.ports.length > 0,
      startsAfter: Array.isArray(each.depends_on) ? each.depends_on : Object.keys(each.depends_on),
      replicas: Math.max(1, replicas ?? 1),
      ...(resources === undefined ? {} : { resources }),
      ...(each.container_name === undefined ? {} : { pinned: 'its container has a fixed name, so there can be one of it' }),
      place: `${file}:${lineOf(['services', called])}`,
    };
  });
  return systemOfContainers(parsed.data.name ?? folder, containers);
}

type Service = z.output<typeof service>;

const aliasesOf = (networks: Service['networks']): string[] =>
  networks === undefined || Array.isArray(networks) ? [] : Object.values(networks).flatMap((network) => network?.aliases ?? []);

function environmentOf(environment: Service['environment']): Container['environment'] {
  const pairs = Array.isArray(environment)
    ? environment.map((line): [string, string | undefined] => {
        const at = line.indexOf('=');
        return at < 0 ? [line, undefined] : [line.slice(0, at), line.slice(at + 1)];
      })
    : Object.entries(environment).map(([name, value]): [string, string | undefined] => [name, value ?? undefined]);
  // `${NAME}` alone comes from the shell that started it, so its value is not in the file.
  return Object.fromEntries(
    pairs.map(([name, value]) => [name, value !== undefined && /\$\{?[A-Za-z_]/.test(value) ? fromShell(value) : value]),
  );
}

/** Compose's `${NAME:-default}`: the default is in the file, a value without one is not. */
function fromShell(value: string): string | undefined {
  const whole = /^\$\{[A-Za-z_]\w*:?-([^}]*)\}$/.exec(value);
  return whole?.[1];
}

function portsOf(ports: Service['ports'], exposed: readonly string[]): number[] {
  const targets = ports.map((port) => (typeof port === 'string' ? Number(/(\d+)(\/\w+)?$/.exec(port)?.[1]) : port.target));
  return [...targets, ...exposed.map((port) => Number.parseInt(port, 10))].filter((port) => Number.isInteger(port) && port > 0);
}

function resourcesOf({ deploy, mem_limit, cpus }: Service): Container['resources'] {
  const { limits, reservations } = deploy?.resources ?? {};
  const vcpu = limits?.cpus ?? cpus ?? reservations?.cpus;
  const memory = limits?.memory ?? mem_limit ?? reservations?.memory;
  const memoryMb = memory === undefined ? undefined : megabytes(memory);
  if (vcpu === undefined && memoryMb === undefined) return undefined;
  return { ...(vcpu === undefined ? {} : { vcpu }), ...(memoryMb === undefined ? {} : { memoryMb }) };
}

/** Compose's byte values: `b`, `k`, `m`, `g` with an optional second `b`; powers of 1024. */
function megabytes(value: string | number): number | undefined {
  const [, number, unit = 'b'] = /^\s*([\d.]+)\s*([bkmg]?)b?\s*$/i.exec(String(value)) ?? [];
  if (number === undefined) return undefined;
  const bytes = Number(number) * 1024 ** 'bkmg'.indexOf(unit.toLowerCase() || 'b');
  return Math.max(1, Math.round(bytes / 1024 ** 2));
}
