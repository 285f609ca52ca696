import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { TraceFormat } from '../../../compiler/contracts/trace-digest.ts';
import { createJsonReader } from './json-reader.ts';
import { createProtobufReader, framingOf } from './protobuf-reader.ts';
import type { SpanSink } from './span.ts';

export interface FileLimits {
  /** Of one compressed file, after decompression. */
  readonly maxInflatedBytes: number;
}
export const defaultFileLimits: FileLimits = { maxInflatedBytes: 64 * 2 ** 30 };

/**
 * Beyond the first 64 MB a compressed file may grow to at most this many times its size. JSON of spans grows 10 to 40 times;
 * only repetition of one byte comes near 1000, the most that deflate can do (RFC 1951).
 */
const maxInflation = 200;
const freeBytes = 64 << 20;

export interface FileFacts {
  readonly format: TraceFormat;
  readonly gzip: boolean;
  readonly sizeBytes: number;
}

/** Reads one file of spans of any format, told by its content. Whatever is wrong with it is rejected in `sink`; it never throws but for the signal. */
export async function readTraceFile(path: string, sink: SpanSink, limits: FileLimits, signal: AbortSignal): Promise<FileFacts> {
  let sizeBytes = 0;
  const nothing = (reason: string): FileFacts => {
    sink.reject(reason, path);
    return { format: 'unknown', gzip: false, sizeBytes };
  };
  try {
    const facts = await stat(path);
    if (facts.isDirectory()) return nothing('a folder; name the files in it');
    if (!facts.isFile()) return nothing('not a file');
    sizeBytes = facts.size;
  } catch (error) {
    return nothing(`cannot be read: ${codeOf(error)}`);
  }
  if (sizeBytes === 0) return nothing('an empty file');
  let raw: Readable | undefined;
  try {
    raw = createReadStream(path, { highWaterMark: 1 << 20, signal });
    const chunks = raw[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const head = await headOf(chunks);
    const gzip = head.bytes[0] === 0x1f && head.bytes[1] === 0x8b;
    const format = gzip ? await inflate(head, sizeBytes, sink, limits) : await decode(head, sink);
    return { format, gzip, sizeBytes };
  } catch (error) {
    if (signal.aborted) throw error;
    return nothing(`cannot be read: ${codeOf(error)}`);
  } finally {
    raw?.destroy();
  }
}

interface Head {
  readonly bytes: Buffer;
  readonly rest: AsyncIterator<Buffer>;
}

/** Enough to tell any format. */
const headBytes = 4_096;

async function headOf(rest: AsyncIterator<Buffer>): Promise<Head> {
  const pieces: Buffer[] = [];
  let size = 0;
  while (size < headBytes) {
    const { done, value } = await rest.next();
    if (done) break;
    pieces.push(value);
    size += value.length;
  }
  return { bytes: Buffer.concat(pieces), rest };
}

async function* all({ bytes, rest }: Head): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function inflate(head: Head, sizeBytes: number, sink: SpanSink, limits: FileLimits): Promise<TraceFormat> {
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  let fed = true;
  const feeding = (async () => {
    for await (const chunk of all(head)) {
      if (!fed) return;
      if (!gunzip.write(chunk)) await new Promise<void>((resolve) => gunzip.once('drain', resolve).once('close', resolve));
    }
    gunzip.end();
  })();
  // Its end is waited for below; a failure in between must not be nobody's.
  feeding.catch((error: Error) => gunzip.destroy(error));
  let inflated = 0;
  async function* bounded(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of gunzip as AsyncIterable<Buffer>) {
        const allowed = Math.min(limits.maxInflatedBytes, Math.max(freeBytes, maxInflation * sizeBytes));
        const before = inflated;
        inflated += chunk.length;
        yield inflated > allowed ? chunk.subarray(0, allowed - before) : chunk;
        if (inflated <= allowed) continue;
        const what = allowed === limits.maxInflatedBytes ? `${allowed} bytes` : `${maxInflation} times its size`;
        sink.reject(`more than ${what} after decompression; the rest was left`, `byte ${allowed}`);
        return;
      }
    } catch (error) {
      sink.reject(`damaged gzip data: ${codeOf(error)}`, `byte ${inflated} after decompression`);
    }
  }
  try {
    const inner = await headOf(bounded());
    if (inner.bytes[0] === 0x1f && inner.bytes[1] === 0x8b) {
      sink.reject('compressed twice; decompress it once', 'byte 0');
      return 'unknown';
    }
    return await decode(inner, sink);
  } finally {
    fed = false;
    gunzip.destroy();
    await feeding.catch(() => undefined);
  }
}

async function decode(head: Head, sink: SpanSink): Promise<TraceFormat> {
  const { bytes } = head;
  let format: TraceFormat = 'unknown';
  const reader = beginsJson(bytes)
    ? createJsonReader(sink, (found) => {
        format = found;
      })
    : protobuf();
  if (!reader) {
    sink.reject(bytes.length === 0 ? 'nothing in it' : otherKind(bytes), 'byte 0');
    return 'unknown';
  }
  for await (const chunk of all(head)) reader.write(chunk);
  reader.end();
  return format;

  function protobuf() {
    const framing = framingOf(bytes);
    if (framing === undefined) return null;
    format = 'otlp-protobuf';
    return createProtobufReader(sink, framing);
  }
}

/** `{` or `[`, then a string, another bracket, or its end: bytes of protobuf may begin with a brace, too. */
function beginsJson(bytes: Buffer): boolean {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, headBytes)).replace(/^\u00ef\u00bb\u00bf/, '');
  return /^\s*(\{\s*("|\}|$)|\[\s*([[{\]]|$))/.test(text);
}

function otherKind(bytes: Buffer): string {
  const magic = bytes.toString('hex', 0, 4);
  if (magic === '28b52ffd') return 'compressed with zstd, which is not supported: decompress it first';
  if (magic.startsWith('504b')) return 'a zip archive: unpack it first';
  if (magic.startsWith('425a68')) return 'compressed with bzip2, which is not supported: decompress it first';
  return 'neither OTLP (JSON or protobuf) nor Jaeger JSON';
}

const codeOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : 'unknown error');
