import type { TraceFormat } from '../../../compiler/contracts/trace-digest.ts';
import { jaegerSpan, processAttributes } from './jaeger-json.ts';
import { JsonScan, type JsonVisitor, type Step } from './json-scan.ts';
import { fieldsOf, otlpJsonSpan, resourceAttributes } from './otlp-json.ts';
import { ownSpan } from './own-json.ts';
import { type ForeignResource, type SpanSink, UnusableSpan } from './span.ts';

/** What is known of the containers around a span. */
interface Around {
  readonly resource: ForeignResource;
  scope: string;
  traceId: string;
  readonly processes: Map<string, ForeignResource>;
  /** Scalars of an object that holds no spans: perhaps it is one, of our own form. */
  readonly fields: Map<string, unknown>;
  holds: boolean;
}

const [take, skip]: readonly [Step, Step] = [{ kind: 'take' }, { kind: 'skip' }];
const open = (role: string): Step => ({ kind: 'open', role });

/**
 * Where the spans are, in all forms: requests of OTLP (`resourceSpans`, in older files `instrumentationLibrarySpans`, from Tempo
 * `batches`), Jaeger's `data`, or one Jaeger trace by itself, each as one document, in an array, or one behind the other.
 */
const steps: { readonly [role: string]: { readonly [key: string]: Step | undefined } } = {
  document: {
    resourceSpans: open('resourceSpans'),
    resource_spans: open('resourceSpans'),
    batches: open('resourceSpans'),
    data: open('documents'),
    result: open('document'),
    spans: open('jaegerSpans'),
    processes: take,
    traceID: take,
  },
  resource: { resource: take, scopeSpans: open('scopes'), scope_spans: open('scopes'), instrumentationLibrarySpans: open('scopes') },
  scope: { scope: take, instrumentationLibrary: take, spans: open('otlpSpans') },
};
const elements: { readonly [role: string]: Step | undefined } = {
  top: open('document'),
  documents: open('document'),
  resourceSpans: open('resource'),
  scopes: open('scope'),
  otlpSpans: take,
  jaegerSpans: take,
};

/** Nested deeper than any of the forms. */
const maxDepth = 16;

/** Equal resources are kept once. Bounded, as a stranger's resources may all differ. */
const maxResources = 10_000;

/** Reads JSON of all forms. `found` is told the form as soon as it is known. */
export function createJsonReader(sink: SpanSink, found: (format: TraceFormat) => void): { write(chunk: Buffer): void; end(): void } {
  const resources = new Map<string, ForeignResource['attributes']>();
  const attributesOf = (text: string, read: (value: unknown) => ForeignResource['attributes']) => {
    const known = resources.get(text);
    if (known) return known;
    const attributes = read(JSON.parse(text));
    if (resources.size < maxResources && text.length < 16_384) resources.set(text, attributes);
    return attributes;
  };
  const processOf = (around: Around) => (id: string) => {
    const known = around.processes.get(id);
    if (known) return known;
    const resource: ForeignResource = { attributes: new Map() };
    around.processes.set(id, resource);
    return resource;
  };

  const visitor: JsonVisitor<Around> = {
    step(role, key, value, depth) {
      if (depth > maxDepth) return skip;
      if (key === null) {
        const step = value === 'array' && role === 'top' ? open('documents') : elements[role];
        return step ?? skip;
      }
      const step = steps[role] && Object.hasOwn(steps[role], key) ? steps[role][key] : undefined;
      if (step?.kind === 'open') {
        if (step.role === 'documents') return value === 'object' ? open('document') : step;
        return (value === 'array') === (step.role !== 'document') ? step : skip;
      }
      // What a document of ours would say of a span.
      return step ?? (role === 'document' && (value === 'scalar' || key === 'attributes') ? take : skip);
    },
    enter(role, parent) {
      if (parent && (role === 'resourceSpans' || role === 'documents' || role === 'jaegerSpans' || role === 'document'))
        parent.holds = true;
      if (role === 'resourceSpans') found('otlp-json');
      if (role === 'jaegerSpans') found('jaeger-json');
      if (parent && role !== 'document' && role !== 'resource') return parent;
      return { resource: { attributes: new Map() }, scope: '', traceId: '', processes: new Map(), fields: new Map(), holds: false };
    },
    leave(role, data, at) {
      if (role !== 'document' || data.holds || data.fields.size === 0) return;
      try {
        sink.span(ownSpan(data.fields));
        found('dmas-ndjson');
      } catch (error) {
        sink.reject(error instanceof UnusableSpan ? error.message : 'an object that holds no spans', at);
      }
    },
    take(role, data, key, text, at) {
      try {
        if (role === 'otlpSpans') sink.span(otlpJsonSpan(JSON.parse(text), data.resource, data.scope));
        else if (role === 'jaegerSpans') sink.span(jaegerSpan(JSON.parse(text), data.traceId, processOf(data)));
        else if (key === 'resource') data.resource.attributes = attributesOf(text, resourceAttributes);
        else if (key === 'processes') {
          const list = fieldsOf(JSON.parse(text)) ?? {};
          for (const id of Object.keys(list))
            processOf(data)(id).attributes = attributesOf(JSON.stringify(list[id]) ?? '', processAttributes);
        } else if (key === 'traceID') data.traceId = String(JSON.parse(text));
        else if (role === 'scope') data.scope = String(fieldsOf(JSON.parse(text))?.name ?? '');
        else if (key !== null && data.fields.size < 64) data.fields.set(key, JSON.parse(text));
      } catch (error) {
        const reason = error instanceof UnusableSpan ? error.message : `not JSON: ${whatFailed(error)}`;
        sink.reject(reason, at);
      }
    },
    reject: (reason, at) => sink.reject(reason, at),
  };
  const scan = new JsonScan(visitor);
  return { write: (chunk) => scan.write(chunk), end: () => scan.end() };
}

/** Without what the parser quotes of the text, which may be somebody's prompt. */
const whatFailed = (error: unknown): string => {
  if (error instanceof RangeError) return 'nested too deep';
  return error instanceof Error && /end of JSON/.test(error.message) ? 'cut off' : 'a value that cannot be parsed';
};
