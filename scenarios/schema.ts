import { z } from 'zod';
import { rightsSchema } from './schema-rights.ts';

/** `500ms`, `4s`, `2m`, `1h`; a bare number is milliseconds. */
const duration = z
  .union([z.number().nonnegative(), z.string().regex(/^\d+(\.\d+)?(ms|s|m|h)$/, 'a duration such as 500ms, 4s, 2m or 1h')])
  .transform(durationMs);

function durationMs(value: number | string): number {
  if (typeof value === 'number') return value;
  const [, number = '0', unit = 'ms'] = /^([\d.]+)(ms|s|m|h)$/.exec(value) ?? [];
  const factors: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  return Number(number) * (factors[unit] ?? 1);
}

/** `3%` or a fraction such as 0.03. */
const share = z
  .union([z.number().min(0).max(1), z.string().regex(/^\d+(\.\d+)?%$/, 'a share such as 0.03 or 3%')])
  .transform((value) => (typeof value === 'number' ? value : Number(value.slice(0, -1)) / 100));

const literal = z.union([z.string(), z.number(), z.boolean()]);
const options = z.record(z.string(), literal);
const name = z.string().regex(/^[a-z][a-z0-9-]*$/, 'a name of lower-case letters, digits and dashes');

const mmppState = <T extends z.ZodType<number>>(perSecond: T) =>
  z.strictObject({
    perSecond: perSecond.meta({ description: 'Rate in this state' }),
    lasts: duration.meta({ description: 'Mean length of a stay in it' }),
  });

const arrivals = z.discriminatedUnion('process', [
  z.strictObject({
    process: z.literal('closed').meta({ description: 'A fixed number of clients, each sending again when its answer came' }),
    clients: z.int().positive(),
    think: duration.default(0),
  }),
  z.strictObject({ process: z.literal('constant'), perSecond: z.number().positive() }),
  z.strictObject({ process: z.literal('poisson'), perSecond: z.number().positive() }),
  z.strictObject({
    process: z.literal('gamma').meta({ description: 'Gaps between requests are gamma distributed' }),
    perSecond: z.number().positive(),
    cv: z
      .number()
      .min(0.05)
      .max(20)
      .meta({ description: 'Standard deviation of the gaps over their mean: 1 is Poisson, above it requests come in bursts' }),
  }),
  z.strictObject({
    process: z.literal('mmpp').meta({ description: 'Poisson, with a rate that switches between two values at random' }),
    calm: mmppState(z.number().nonnegative()).meta({ description: 'The usual state' }),
    burst: mmppState(z.number().positive()).meta({ description: 'The other state' }),
  }),
  z.strictObject({
    process: z.literal('log').meta({ description: 'Recorded arrival times' }),
    file: z.string().meta({ description: 'CSV with a TIMESTAMP column, or one time in seconds per line' }),
    rateScale: z.number().positive().default(1).meta({
      description:
        'Requests per recorded one, at the same clock: below 1 some are left out, above 1 more come in between; bursts last as long as recorded',
    }),
    timeScale: z.number().positive().default(1).meta({
      description: 'How long the log takes beside the recorded time: 0.5 plays it twice as fast, so rate and bursts both get quicker',
    }),
    from: duration.default(0).meta({ description: 'Where in the log it starts, in recorded time' }),
  }),
  z.strictObject({
    process: z.literal('sessions').meta({
      description: 'People who work in sessions: new ones come at random, the next request of one follows its think time after the answer',
    }),
    perSecond: z.number().positive(),
    file: z.string().meta({
      description:
        'What sessions are like: fitted by `dmas-opt load sessions`, a log of agent sessions, or sessions written out. See [workload.md](workload.md)',
    }),
    count: z.int().positive().default(32).meta({ description: 'How many sessions are drawn or read; they are repeated in turn' }),
    maxTurns: z.int().positive().optional().meta({ description: 'Longer sessions end there' }),
    thinkScale: z.number().nonnegative().default(1).meta({ description: 'Factor on every think time' }),
    tokenScale: z.number().positive().default(1).meta({ description: 'Factor on the tokens of every prompt and reply' }),
    maxTokens: z
      .int()
      .positive()
      .optional()
      .meta({ description: 'Longest prompt, after scaling; a session that outgrows it is compacted' }),
    subagentShare: share.optional().meta({ description: 'Share of the turns that start sub-agents; default: as in the file' }),
    maxSteps: z.int().positive().optional().meta({ description: 'Most model calls of one sub-agent; default: as in the file' }),
  }),
]);

const scriptedReply = z.strictObject({
  component: name.optional().meta({ description: 'The agent that asks; default: any' }),
  prompt: z.string().optional().meta({ description: 'Text the question must contain, or its JSON; default: any question' }),
  reply: z.json().meta({ description: 'What the person answers: any JSON' }),
  after: duration.default(0).meta({ description: 'How long a person takes' }),
});

const requestClass = z.strictObject({
  inputs: z
    .union([z.string(), z.array(z.json()).min(1)])
    .optional()
    .meta({ description: 'A JSON Lines file, or the inputs themselves; default: workload.inputs' }),
  arrivals: arrivals.default({ process: 'poisson', perSecond: 2 }),
  stream: z.boolean().default(false).meta({ description: 'Ask for a streamed reply and measure its first chunk and gaps' }),
  timeout: duration.default(30_000),
  sessions: z
    .int()
    .positive()
    .optional()
    .meta({ description: 'Spread requests over this many sessions; default: each request is its own' }),
  humans: z.array(scriptedReply).optional().meta({
    description:
      'What people answer where an agent pauses; the first that fits. A request whose question none fits is *incomplete*. See [workflow.md](workflow.md#people)',
  }),
  humanWait: duration.default(0).meta({
    description:
      'Most of each `after` that is really waited; the rest is only added to the human time. 0 waits for nobody, a long one plays every delay out',
  }),
  expect: z
    .string()
    .optional()
    .meta({ description: 'JSON Lines file with the right answer of each input; default: the baseline’s own answers' }),
});

const resources = z.strictObject({ vcpu: z.number().positive().default(1), memoryMb: z.int().positive().default(256) });

const baselineUnit = z.strictObject({
  components: z.array(name).min(1),
  replicas: z.int().positive().default(1),
  resources: resources.optional(),
});
const channelChoice = z
  .union([name, z.strictObject({ protocol: name, options: options.default({}) })])
  .transform((value) => (typeof value === 'string' ? { protocol: value, options: {} } : value));

const metric = z
  .string()
  .regex(
    /^(cost|cpu|grants|throughput|completion|errorRate|(latency|elapsed|firstToken|gap)\.(mean|p50|p90|p95|p99))$/,
    'a metric such as cost or latency.p95',
  )
  .meta({
    description:
      'cost (USD per 1000 requests), cpu (CPU-seconds per request), grants (rights its units and services have together), latency.p95, elapsed.p95 (with the time people took), firstToken.p95, gap.p95, throughput, completion, errorRate',
  });

const slo = z.strictObject({
  class: name.optional().meta({ description: 'Default: every class' }),
  metric,
  max: z.union([z.number(), duration]).optional().meta({ description: 'Upper limit: a duration for times, a number or share otherwise' }),
  min: z.number().optional(),
});

/** The same objective with the time people took in every latency of it. */
function withHuman<T extends { readonly minimize: string[]; readonly slo: { readonly metric: string }[] }>(objective: T): T {
  const elapsed = (name: string) => name.replace(/^latency\./, 'elapsed.');
  return {
    ...objective,
    minimize: objective.minimize.map(elapsed),
    slo: objective.slo.map((limit) => ({ ...limit, metric: elapsed(limit.metric) })),
  };
}

const range = z.union([
  z
    .int()
    .positive()
    .transform((n) => ({ min: n, max: n })),
  z.tuple([z.int().positive(), z.int().positive()]).transform(([min, max]) => ({ min, max })),
]);

/** How the agents that use one model are spread over pools of its servers. */
const poolGroups = z.union([
  z.enum(['shared', 'dedicated', 'every']).meta({
    description: '`shared`: one pool for everybody; `dedicated`: one per agent; `every`: all ways to group up to five agents',
  }),
  z.array(z.array(name).min(1)).min(1).meta({ description: 'Groups of agents with a pool each; agents in no group share one more' }),
]);

/** Models that may answer an agent. */
const modelChoices = z.union([z.array(name).min(1), z.record(name, z.array(name).min(1))]);

const quality = z.strictObject({
  scores: z
    .record(name, z.record(name, z.number()))
    .default({})
    .meta({ description: 'How well each agent does with each model, on any scale on which more is better' }),
  floor: z
    .union([z.number(), z.record(name, z.number())])
    .optional()
    .meta({
      description:
        'Score no agent may fall below; or one per agent, with `default` for the others. Without it an agent must do as well as with the model it asks for',
    }),
  rightAnswers: share.optional().meta({
    description: 'Share of right answers (`workload.classes.<name>.expect`) a layout must show on real deployments',
  }),
});

const modelPrice = z.strictObject({
  inputPerMillionUsd: z.number().nonnegative().default(0),
  cachedPerMillionUsd: z.number().nonnegative().optional(),
  outputPerMillionUsd: z.number().nonnegative().default(0),
});

/** Limits of a model over everybody who asks: kept by a limiter of the deployment, and by the tape on replay. */
const modelLimits = z.strictObject({
  requestsPerMinute: z.number().positive().optional().meta({ description: 'Requests, whoever sends them' }),
  tokensPerMinute: z.number().positive().optional().meta({ description: 'Tokens of prompts and replies together' }),
  concurrency: z.int().positive().optional().meta({ description: 'Calls under way at once; on replay it is not enforced' }),
  window: duration
    .default(10_000)
    .meta({ description: 'A quota per minute is enforced over this stretch: that much of it may be used at once' }),
});

const httpUrl = z.string().regex(/^https?:\/\/[^/]/, 'an http or https URL');

/** A pool of model servers that others use too. */
const protect = z.strictObject({
  maxRequestsPerSecond: z
    .number()
    .positive()
    .optional()
    .meta({ description: 'Model calls per second we may offer it; a workload that offers more is refused' }),
  callsPerRequest: z
    .number()
    .positive()
    .default(1)
    .meta({ description: 'Calls of this model per request of the application, until a profile has counted them' }),
  maxWaiting: z
    .int()
    .nonnegative()
    .optional()
    .meta({ description: 'Requests in its queues, whoever sent them, above which the load is taken off' }),
  maxKvUse: share.optional().meta({ description: 'Use of its KV cache above which the load is taken off' }),
});

/** Recording and replay of models, tools and external agents. */
const recording = {
  record: z
    .strictObject({
      content: z.enum(['hash', 'replies', 'full']).default('hash').meta({
        description: 'What is stored: sizes and hashes; replies too, without which nothing can be replayed; prompts and inputs too',
      }),
      file: z.string().default('./cassette.ndjson').meta({ description: 'Where dmas-opt record writes; what is there already stays' }),
      ignore: z.array(z.string()).default([]).meta({
        description: 'Fields of requests and tool inputs no answer depends on, beside the usual ones; the same for recording and replay',
      }),
      concurrency: z.int().positive().default(4).meta({ description: 'Inputs under way at once while recording' }),
    })
    .prefault({}),
  replay: z
    .strictObject({
      cassette: z.string().default('./cassette.ndjson').meta({ description: 'Recorded replies' }),
      options: options.default({}).meta({ description: 'Options of the backend replay, for every model it stands in for' }),
      components: z
        .array(z.string())
        .default([])
        .meta({ description: 'Tools, and agents that run elsewhere, that are answered from the cassette instead of being called' }),
    })
    .optional()
    .meta({ description: 'A study takes the replies of all models that are not simulated from a cassette' }),
};
/** Misses a block may have. */
const replayTolerance = z
  .strictObject({
    missRate: share.default(0).meta({ description: 'Share of calls without a recorded reply above which a block supports no verdict' }),
  })
  .prefault({})
  .meta({ description: 'What a replay may lack' });

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable');
const httpPath = z.string().regex(/^\//, 'a path that begins with /');

/** One agent or tool server that somebody else built. */
const foreignComponent = z.strictObject({
  command: z
    .array(z.union([z.string(), z.number()]).transform(String))
    .min(1)
    .optional()
    .meta({ description: 'Program and arguments, started on target process; {port} in an argument becomes the port' }),
  image: z.string().min(1).optional().meta({ description: 'Container image, started on target docker' }),
  folder: z.string().default('.').meta({ description: 'Where the command runs, relative to this file' }),
  external: z
    .strictObject({
      url: z
        .string()
        .regex(/^https?:\/\/[^/]/, 'an http or https URL')
        .meta({ description: 'Where calls go' }),
      maxRate: z.number().positive().meta({ description: 'Calls per second it may get from the whole application, whatever the layout' }),
      maxConcurrency: z.int().positive().meta({ description: 'Calls at once it may get from the whole application' }),
      callsPerRequest: z
        .number()
        .positive()
        .default(1)
        .meta({ description: 'Expected, to tell whether the workload keeps within maxRate' }),
    })
    .optional()
    .meta({ description: 'Runs already, elsewhere: measured and predicted, never deployed' }),
  speaks: name.optional().meta({ description: 'Protocol it speaks; default: what the workflow says, or http-json' }),
  options: options.default({}).meta({ description: 'Options of that protocol' }),
  path: httpPath.default('/').meta({ description: 'Path under which it takes calls' }),
  env: z
    .record(variable, literal.transform(String))
    .default({})
    .meta({ description: 'Environment variables with fixed values; keys and passwords belong under secrets' }),
  neighbours: z
    .record(
      variable,
      z
        .union([
          name,
          z.strictObject({
            component: name.meta({ description: 'The agent or tool server it calls' }),
            protocol: name.optional().meta({ description: 'What it speaks to it; default: what it speaks itself' }),
            options: options.default({}).meta({ description: 'Options of that protocol' }),
          }),
        ])
        .transform((value) => (typeof value === 'string' ? { component: value, options: {} } : value)),
    )
    .default({})
    .meta({ description: 'Environment variable → the agent or tool server whose URL it receives' }),
  models: z
    .record(
      name,
      z
        .union([
          variable,
          z.strictObject({
            baseUrl: variable.meta({ description: 'Variable that receives the base URL, /v1 included' }),
            key: variable.optional().meta({ description: 'Variable that receives the API key' }),
            model: variable.optional().meta({ description: 'Variable that receives the name to ask for' }),
          }),
        ])
        .transform((value) =>
          typeof value === 'string' ? { baseUrl: `${value}_BASE_URL`, key: `${value}_API_KEY`, model: `${value}_MODEL` } : value,
        ),
    )
    .default({})
    .meta({ description: 'Logical model → the variables that receive its base URL, key and name; OPENAI stands for OPENAI_BASE_URL, …' }),
  port: z
    .union([variable, z.int().min(1).max(65_535)])
    .default('PORT')
    .meta({
      description: 'Environment variable that receives the port to listen on; a number for an image that always listens there',
    }),
  ready: z
    .strictObject({ path: httpPath.meta({ description: 'Asked with GET' }) })
    .optional()
    .meta({ description: 'HTTP path that answers 2xx once it is ready; default: its port accepts connections' }),
  concurrency: z.int().positive().optional().meta({ description: 'Calls one replica handles at a time, for the prediction' }),
  effect: z
    .enum(['readOnly', 'idempotent', 'sideEffect'])
    .optional()
    .meta({ description: 'What repeating a call does; default: what the workflow says' }),
  secrets: z.array(variable).default([]).meta({ description: 'Environment variables of yours it receives; no others are passed' }),
  instrumented: z.boolean().default(true).meta({ description: 'False: it is not told where spans go' }),
});

/** The scenario file. Every key but `workflow` has a default. The JSON Schema is generated from this. */
export const scenarioSchema = z.strictObject({
  name: name.optional().meta({ description: 'Default: the name of the folder' }),
  workflow: z.string().min(1).meta({
    description: 'Module that exports the workflow, relative to this file (#name picks an export), or a YAML file that describes it',
  }),
  target: z
    .union([name, z.looseObject({ kind: name })])
    .default('process')
    .transform((value) => (typeof value === 'string' ? { kind: value } : value))
    .meta({ description: 'Where the application runs: process, docker' }),
  ingress: z
    .strictObject({
      port: z.int().min(0).max(65535).default(0).meta({ description: '0 picks a free port' }),
      deadline: duration.default(30_000).meta({ description: 'Every request ends by then, answered or not' }),
    })
    .prefault({}),
  models: z
    .record(
      name,
      z.strictObject({
        backend: name.default('simulated'),
        model: z.string().optional().meta({ description: 'Name sent to the endpoint; default: the logical name' }),
        url: z.string().optional().meta({ description: 'OpenAI-compatible base URL; not for backends we deploy' }),
        secret: z.string().optional().meta({ description: 'Name of the environment variable with the key' }),
        options: options.default({}),
        replies: z.string().optional().meta({ description: 'Scripted replies of the simulated model: a JSON file (see docs/models.md)' }),
        limits: modelLimits
          .optional()
          .meta({ description: 'Quotas of the provider, over all replicas of all units: who would pass them waits' }),
        metrics: httpUrl.optional().meta({
          description:
            'Where its servers tell their load, in the text format of Prometheus; default: /metrics of a vLLM or llama.cpp server',
        }),
        gpuMetrics: httpUrl.optional().meta({ description: 'A DCGM exporter of the GPUs it runs on' }),
        protect: protect
          .optional()
          .meta({ description: 'For a pool that others use too: what we may add to it, and when we let go of it' }),
      }),
    )
    .default({}),
  ...recording,
  agents: z
    .record(name, foreignComponent)
    .default({})
    .meta({ description: 'How agents and tool servers that somebody else built are run or reached (see docs/elsewhere.md)' }),
  rights: rightsSchema.prefault({}).meta({
    description:
      'Outside hosts, security domains, classes of data and regions: what may be reached and what stays apart. See [rights.md](rights.md)',
  }),
  state: z.strictObject({ store: name.default('memory'), options: options.default({}) }).prefault({}),
  baseline: z
    .strictObject({
      layout: z
        .union([z.enum(['one-per-agent', 'all-in-one']), z.array(z.union([z.array(name).min(1), baselineUnit])).min(1)])
        .default('one-per-agent'),
      protocol: channelChoice.default({ protocol: 'http-json', options: {} }),
      channels: z.record(z.string(), channelChoice).default({}),
      resources: resources.prefault({}),
    })
    .prefault({})
    .meta({ description: 'What runs today; every gain is quoted against it' }),
  workload: z
    .strictObject({
      inputs: z.union([z.string(), z.array(z.json()).min(1)]).default('./inputs.jsonl'),
      classes: z.record(name, requestClass).default({ default: requestClass.parse({}) }),
      allowSideEffects: z.array(z.string()).default([]).meta({
        description:
          'Tools with side effects that may really run while a study measures; all others are answered by a made-up value of their output schema',
      }),
      replay: replayTolerance,
      warmup: duration.default(1_000),
      duration: duration.default(4_000).meta({ description: 'Length of one block, warm-up left out' }),
    })
    .prefault({}),
  objective: z
    .strictObject({
      minimize: z
        .union([metric, z.array(metric).min(1)])
        .default('cost')
        .transform((value) => (Array.isArray(value) ? value : [value])),
      slo: z.array(slo).default([]),
      margin: share.default(0.03).meta({ description: 'Differences smaller than this count as the same' }),
      includeHuman: z
        .boolean()
        .default(false)
        .meta({ description: 'Take every `latency` in minimize and slo as `elapsed`, with the time people took' }),
    })
    .transform((objective) => (objective.includeHuman ? withHuman(objective) : objective))
    .prefault({}),
  search: z
    .strictObject({
      strategy: name.default('exact'),
      candidates: z.int().positive().default(3).meta({ description: 'How many of the best predicted layouts are deployed and measured' }),
      replicas: z.record(name, range).default({}).meta({ description: 'Per component, or default: how many replicas its unit may have' }),
      protocols: z
        .record(z.string(), z.array(channelChoice).min(1))
        .default({})
        .meta({ description: 'Per channel, or default: what may be spoken between units' }),
      together: z.array(z.array(name).min(2)).default([]),
      apart: z.array(z.array(name).min(2)).default([]).meta({ description: 'Components that may never share a unit' }),
      resources: z.record(name, z.array(resources).min(1)).default({}),
      serving: z.record(name, z.record(z.string(), z.array(literal).min(1))).default({}),
      pools: z
        .record(name, z.array(poolGroups).min(1))
        .default({})
        .meta({ description: 'Per model we deploy: which agents share a pool of its servers, each way a choice; default: `[shared]`' }),
      models: z.record(name, modelChoices).default({}).meta({
        description: 'Per agent: models that may answer it; by the model it asks for where it uses several. Needs `search.quality`',
      }),
      quality: quality.prefault({}).meta({ description: 'What a choice of models may cost in quality' }),
      maxUnits: z.int().positive().optional(),
    })
    .prefault({}),
  budget: z
    .strictObject({
      time: duration.default(120_000),
      trials: z.int().positive().default(8),
      money: z.number().nonnegative().optional().meta({ description: 'USD; the run stops cleanly before it spends more' }),
      gpuHours: z.number().nonnegative().optional().meta({
        description: 'Hours of GPUs that deployed model servers hold, start-up included; the run stops cleanly before it needs more',
      }),
    })
    .prefault({}),
  prices: z
    .strictObject({
      vcpuHourUsd: z.number().nonnegative().default(0.0404799),
      memoryGbHourUsd: z.number().nonnegative().default(0.0044449),
      trafficGbUsd: z.number().nonnegative().default(0),
      gpuHourUsd: z.record(z.string(), z.number().nonnegative()).default({}),
      models: z.record(name, modelPrice).default({}),
      source: z.string().default('AWS Fargate, Linux/x86, us-east-1 list price'),
    })
    .prefault({}),
  topology: z.strictObject({ hosts: z.int().positive().default(1).meta({ description: 'The embedded target has one' }) }).prefault({}),
  seed: z.int().nonnegative().default(1),
});

/** A scenario with defaults filled in and durations in milliseconds. */
export type ScenarioConfig = z.output<typeof scenarioSchema>;

/** A loaded scenario: resolved values, where each came from, and the folder paths in it are relative to. */
export interface Scenario {
  readonly schemaVersion: 1;
  readonly file: string;
  readonly folder: string;
  readonly sha256: string;
  readonly name: string;
  readonly config: ScenarioConfig;
  /** Place of each key in the file, by dotted path (`workload.classes.default.arrivals`). Defaults have none. */
  readonly places: { readonly [path: string]: { readonly line: number; readonly column: number; readonly length: number } };
}

export type ForeignConfig = ScenarioConfig['agents'][string];
export type ArrivalsConfig = z.output<typeof arrivals>;
export type ScriptedReplyConfig = z.output<typeof scriptedReply>;
export type PricesConfig = ScenarioConfig['prices'];
