import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { SpanRecord, TraceDigest } from '../../../../compiler/contracts/index.ts';
import { type DigestOptions, digestTraces } from '../../../../profiler/analyze/digest.ts';
import { createStore } from '../../../../profiler/analyze/foreign/store.ts';
import { buildForeignTree, type ForeignTree } from '../../../../profiler/analyze/foreign/tree.ts';
import { readTraceInputs } from '../../../../profiler/collect/foreign/read.ts';
import { defaultFileLimits } from '../../../../profiler/collect/foreign/read-file.ts';

/** The folder `shared/data` beside the checkout, which holds data of others that is not copied into the project; null without it. */
export function sharedData(...path: readonly string[]): string | null {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const found = join(folder, 'shared', 'data', ...path);
    if (existsSync(found)) return found;
  }
  return null;
}

const context = { signal: new AbortController().signal, seed: 7 };

export const digestFile = (path: string, options: DigestOptions = {}): Promise<TraceDigest> =>
  digestTraces([{ kind: 'file', path }], options, context);

/** Runs `use` on a file with that content. */
export async function withFile<T>(content: string | Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-foreign-'));
  try {
    const path = join(folder, 'traces');
    await writeFile(path, content);
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export const digestOf = (content: string | Uint8Array, options?: DigestOptions): Promise<TraceDigest> =>
  withFile(content, (path) => digestFile(path, options));

export const gzipped = (content: string): Buffer => gzipSync(content);

/** All traces of a file as trees, as they are before clocks are repaired. */
export async function treesOf(path: string): Promise<ForeignTree[]> {
  const store = createStore(1_000_000, () => {});
  await readTraceInputs([{ kind: 'file', path }], (span) => store.add(span), defaultFileLimits, context.signal);
  return [...store.traces.values()].flatMap((trace) => buildForeignTree(trace) ?? []);
}

type Attributes = { readonly [key: string]: string | number | boolean };
export interface TestSpan {
  readonly id: string;
  readonly parent?: string;
  readonly trace?: string;
  readonly service?: string;
  readonly instance?: string;
  readonly host?: string;
  readonly name?: string;
  readonly kind?: SpanRecord['kind'];
  /** Milliseconds from the beginning of the test's time to the end. */
  readonly at: readonly [number, number];
  readonly attributes?: Attributes;
  readonly error?: boolean;
  readonly link?: { readonly trace: string; readonly id: string };
}

export const epochMs = 1_760_000_000_000;
const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];
const idText = (text: string, digits: number) => Buffer.from(text).toString('hex').padStart(digits, '0').slice(-digits);
const nano = (ms: number) => `${BigInt(Math.round((epochMs + ms) * 1000)) * 1000n}`;

const anyValue = (value: string | number | boolean) => {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
};
const attributeList = (attributes: Attributes) => Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));

/** OTLP/JSON, one resource for each service and instance. */
export function otlpDocument(spans: readonly TestSpan[]): { resourceSpans: unknown[] } {
  const groups = new Map<string, TestSpan[]>();
  for (const span of spans) {
    const key = `${span.service ?? 'app'}\n${span.instance ?? ''}\n${span.host ?? ''}`;
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(span);
  }
  return {
    resourceSpans: [...groups.values()].map((group) => {
      const { service = 'app', instance, host } = group[0] as TestSpan;
      return {
        resource: {
          attributes: attributeList({
            'service.name': service,
            ...(instance ? { 'service.instance.id': instance } : {}),
            ...(host ? { 'host.name': host } : {}),
          }),
        },
        scopeSpans: [
          {
            scope: { name: 'test' },
            spans: group.map((span) => ({
              traceId: idText(span.trace ?? 'trace', 32),
              spanId: idText(span.id, 16),
              ...(span.parent === undefined ? {} : { parentSpanId: idText(span.parent, 16) }),
              name: span.name ?? span.id,
              kind: kinds.indexOf(span.kind ?? 'internal'),
              startTimeUnixNano: nano(span.at[0]),
              endTimeUnixNano: nano(span.at[1]),
              attributes: attributeList(span.attributes ?? {}),
              status: span.error ? { code: 2 } : {},
              ...(span.link ? { links: [{ traceId: idText(span.link.trace, 32), spanId: idText(span.link.id, 16) }] } : {}),
            })),
          },
        ],
      };
    }),
  };
}

export const digestSpans = (spans: readonly TestSpan[], options?: DigestOptions): Promise<TraceDigest> =>
  digestOf(JSON.stringify(otlpDocument(spans)), options);
