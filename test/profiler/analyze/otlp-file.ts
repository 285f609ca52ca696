/** OTLP JSON made up for tests, where the truth is known because we wrote it. */

export interface SpanSpec {
  readonly name: string;
  /** Default internal. */
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  /** From the start of the trace, in ms. */
  readonly at: number;
  readonly ms: number;
  readonly service: string;
  readonly instance?: string;
  /** Default `nodejs`; null leaves it untold. */
  readonly language?: string | null;
  readonly failed?: boolean;
  /** Of a root: names a parent that is in no file. */
  readonly orphan?: boolean;
  readonly attributes?: { readonly [name: string]: string | number };
  readonly children?: readonly SpanSpec[];
}

const kinds = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
const value = (given: string | number) =>
  typeof given === 'string' ? { stringValue: given } : Number.isInteger(given) ? { intValue: String(given) } : { doubleValue: given };
const attributesOf = (given: { readonly [name: string]: string | number }) =>
  Object.entries(given).map(([key, each]) => ({ key, value: value(each) }));

/** One request body per trace, a line each. Traces begin `everyMs` apart. */
export function otlpLines(traces: readonly SpanSpec[], everyMs = 100): string {
  let spanId = 0;
  const lines = traces.map((root, index) => {
    const startMs = 1_790_000_000_000 + index * everyMs;
    const resourceSpans: object[] = [];
    const add = (span: SpanSpec, parentSpanId: string) => {
      const id = hex(++spanId, 16);
      const language = span.language === undefined ? 'nodejs' : span.language;
      const nanos = (ms: number) => `${Math.round(ms * 1000)}000`;
      resourceSpans.push({
        resource: {
          attributes: attributesOf({
            'service.name': span.service,
            'service.instance.id': span.instance ?? `${span.service}-0`,
            ...(language === null ? {} : { 'telemetry.sdk.language': language }),
          }),
        },
        scopeSpans: [
          {
            scope: { name: 'test' },
            spans: [
              {
                traceId: hex(index + 1, 32),
                spanId: id,
                ...(parentSpanId === '' ? {} : { parentSpanId }),
                name: span.name,
                kind: kinds[span.kind ?? 'internal'],
                startTimeUnixNano: nanos(startMs + span.at),
                endTimeUnixNano: nanos(startMs + span.at + span.ms),
                attributes: attributesOf(span.attributes ?? {}),
                status: span.failed ? { code: 2 } : {},
              },
            ],
          },
        ],
      });
      for (const child of span.children ?? []) add(child, id);
    };
    add(root, root.orphan ? 'f'.repeat(16) : '');
    return JSON.stringify({ resourceSpans });
  });
  return `${lines.join('\n')}\n`;
}

export const agent = (
  name: string,
  rest: Omit<SpanSpec, 'name' | 'service' | 'attributes'> & Partial<Pick<SpanSpec, 'service' | 'attributes'>>,
): SpanSpec => ({
  service: name,
  ...rest,
  name: `invoke_agent ${name}`,
  attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': name, ...rest.attributes },
});

export const chat = (
  service: string,
  at: number,
  ms: number,
  tokens: { readonly in: number; readonly out: number } | null = { in: 1000, out: 100 },
  model = 'gpt-test',
): SpanSpec => ({
  name: `chat ${model}`,
  kind: 'client',
  at,
  ms,
  service,
  attributes: {
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': model,
    'gen_ai.provider.name': 'openai',
    ...(tokens === null ? {} : { 'gen_ai.usage.input_tokens': tokens.in, 'gen_ai.usage.output_tokens': tokens.out }),
  },
});

/** An HTTP hop from one service to another: client span, `hop` ms longer than the server span in its middle. */
export const hop = (from: string, at: number, callee: SpanSpec, hopMs: number, bytes?: number): SpanSpec => ({
  name: 'POST',
  kind: 'client',
  at,
  ms: callee.ms + hopMs,
  service: from,
  attributes: {
    'http.request.method': 'POST',
    'server.address': callee.service,
    'url.path': '/run',
    ...(bytes === undefined ? {} : { 'http.request.body.size': bytes, 'http.response.body.size': bytes }),
  },
  children: [
    {
      name: 'POST /run',
      kind: 'server',
      at: at + hopMs / 2,
      ms: callee.ms,
      service: callee.service,
      ...processOf(callee),
      attributes: { 'http.request.method': 'POST', 'http.route': '/run' },
      children: [callee],
    },
  ],
});

const processOf = ({ instance, language }: SpanSpec) => ({
  ...(instance === undefined ? {} : { instance }),
  ...(language === undefined ? {} : { language }),
});

/** The way in: a server span of the entry around everything. */
export const request = (entry: SpanSpec): SpanSpec => ({
  name: 'POST /ask',
  kind: 'server',
  at: entry.at,
  ms: entry.ms,
  service: entry.service,
  ...processOf(entry),
  attributes: { 'http.request.method': 'POST', 'http.route': '/ask' },
  children: [entry],
});
