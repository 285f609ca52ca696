import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

/**
 * What the Compose specification says of the words our projects use (https://github.com/compose-spec/compose-spec), every
 * other word refused. Stricter than the specification, which lets several spellings of one thing pass.
 */
const strict = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const text = { type: 'string' };
const texts = { type: 'array', items: text };
const duration = { type: 'string', pattern: '^\\d+(us|ms|s|m|h)$' };
const bytes = { type: 'string', pattern: '^\\d+[bkmg]$' };
const byName = (schema: object, names = '^[a-zA-Z0-9._-]+$') => ({
  type: 'object',
  patternProperties: { [names]: schema },
  additionalProperties: false,
});

const device = strict({ driver: text, count: { type: 'integer', minimum: 1 }, capabilities: { ...texts, minItems: 1 } }, ['capabilities']);
const deploy = strict({
  replicas: { type: 'integer', minimum: 0 },
  resources: strict({ reservations: strict({ devices: { type: 'array', items: device } }) }),
});
const service = strict(
  {
    image: { type: 'string', pattern: '^[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$' },
    build: strict({ context: { type: 'string', pattern: '^\\./' }, args: byName(text) }, ['context']),
    entrypoint: texts,
    command: texts,
    environment: { type: 'object', propertyNames: { pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }, additionalProperties: text },
    deploy,
    networks: { ...texts, uniqueItems: true },
    ports: { type: 'array', items: { type: 'string', pattern: ':\\d+$' } },
    cpus: { type: 'number', exclusiveMinimum: 0 },
    mem_limit: bytes,
    memswap_limit: bytes,
    shm_size: bytes,
    restart: { enum: ['no', 'always', 'on-failure', 'unless-stopped'] },
    user: { type: 'string', pattern: '^\\d+:\\d+$' },
    read_only: { const: true },
    tmpfs: texts,
    cap_drop: texts,
    security_opt: texts,
    volumes: { type: 'array', items: { type: 'string', pattern: '^[^:]+:/' } },
    stop_grace_period: duration,
    healthcheck: strict(
      {
        test: { type: 'array', items: text, minItems: 2 },
        interval: duration,
        timeout: duration,
        retries: { type: 'integer' },
        start_period: duration,
      },
      ['test'],
    ),
  },
  ['image', 'networks', 'security_opt', 'restart'],
);
const network = strict({
  internal: { type: 'boolean' },
  driver_opts: byName(text),
  ipam: strict({ config: { type: 'array', items: strict({ subnet: text }) } }),
});

export const validateCompose: ValidateFunction = new Ajv2020({ allErrors: true }).compile(
  strict({ services: byName(service), networks: byName(network), volumes: byName(strict({})) }, ['services', 'networks']),
);
