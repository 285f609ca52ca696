import { readRequest, readResourceSpans } from './otlp-protobuf.ts';
import type { SpanSink } from './span.ts';

/**
 * How requests stand in a file: one alone (or several behind one another, which protobuf reads as one), or each behind its length,
 * as 4 bytes with the highest first (the collector's file exporter) or as a varint (protobuf's delimited form).
 */
type Framing = 'bare' | 'uint32' | 'varint';

/** Of one message; an exporter's batch has about 130 KB. */
const maxMessageBytes = 512 << 20;

const requestTag = 0x0a; // field 1, length-delimited: resource_spans
/** What the first field of a ResourceSpans can be: resource, scope_spans, schema_url, or the deprecated one. */
const innerTags: ReadonlySet<number | undefined> = new Set([0x0a, 0x12, 0x1a, 0xc2]);

/** Undefined when the bytes begin no request in any framing. */
export function framingOf(head: Buffer): Framing | undefined {
  if (begins(head, 0, Number.POSITIVE_INFINITY)) return 'bare';
  if (head.length >= 5 && begins(head, 4, head.readUInt32BE(0))) return 'uint32';
  const length = varint(head, 0);
  return length && length.value > 0 && begins(head, length.end, length.value) ? 'varint' : undefined;
}

/** Whether a request of that length may begin at `at`. */
function begins(head: Buffer, at: number, length: number): boolean {
  if (head[at] !== requestTag || length < 2) return false;
  const inner = varint(head, at + 1);
  if (!inner || inner.end - at + inner.value > length) return false;
  return inner.value === 0 ? head.length === inner.end : inner.end >= head.length || innerTags.has(head[inner.end]);
}

function varint(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return undefined;
}

/** Reads requests of any number, of which no more than one is in memory at once. */
export function createProtobufReader(sink: SpanSink, framing: Framing): { write(chunk: Buffer): void; end(): void } {
  let pieces: Buffer[] = [];
  let size = 0;
  let offset = 0;
  let need = 1;
  let broken = false;

  const fail = (reason: string) => {
    sink.reject(reason, `byte ${offset}`);
    broken = true;
    pieces = [];
    size = 0;
  };
  /** Length of the header and of what follows it; undefined when more bytes are needed; null when it is none. */
  const header = (bytes: Buffer, at: number): { head: number; body: number } | null | undefined => {
    if (framing === 'uint32') return bytes.length - at < 4 ? undefined : { head: 4, body: bytes.readUInt32BE(at) };
    const tagged = framing === 'bare' ? 1 : 0;
    if (bytes.length <= at) return undefined;
    if (tagged === 1 && bytes[at] !== requestTag) return null;
    const length = varint(bytes, at + tagged);
    if (length) return { head: length.end - at, body: length.value };
    return bytes.length - at > 6 ? null : undefined;
  };
  const drain = () => {
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    let at = 0;
    need = 1;
    while (at < bytes.length) {
      const found = header(bytes, at);
      if (found === null) return fail('bytes that begin no OTLP request');
      if (found === undefined) {
        need = bytes.length - at + 1;
        break;
      }
      const { head, body } = found;
      if (body > maxMessageBytes) return fail(`a message that says it has ${body} bytes; ${maxMessageBytes >> 20} MB are allowed`);
      if (at + head + body > bytes.length) {
        need = head + body;
        break;
      }
      const content = bytes.subarray(at + head, at + head + body);
      if (framing === 'bare') readResourceSpans(content, sink, offset + head);
      else readRequest(content, sink, offset + head);
      at += head + body;
      offset += head + body;
    }
    const rest = bytes.subarray(at);
    pieces = rest.length > 0 ? [rest] : [];
    size = rest.length;
  };
  return {
    write(chunk) {
      if (broken) return;
      pieces.push(chunk);
      size += chunk.length;
      if (size >= need) drain();
    },
    end() {
      if (!broken && size > 0) fail('the input ends inside of a message');
    },
  };
}
