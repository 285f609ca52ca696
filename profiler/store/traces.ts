import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';

/** `traces/<block>.ndjson` in the run folder: one span per line, no header, so that SQL engines read it as it stands. */
export const tracesFile = (runFolder: string, blockId: string): string => join(runFolder, 'traces', `${blockId}.ndjson`);

const linesPerChunk = 500;

function* chunks(spans: Iterable<SpanRecord>): Generator<string> {
  let lines: string[] = [];
  for (const span of spans) {
    lines.push(JSON.stringify(span));
    if (lines.length < linesPerChunk) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join('\n')}\n`;
}

/** Writes the spans of one block, replacing what was there. */
export async function writeTraces(file: string, spans: Iterable<SpanRecord>): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await pipeline(Readable.from(chunks(spans)), createWriteStream(file));
}

/**
 * Spans of one block, one at a time. A last line without its end, as a crash leaves it, is skipped.
 * @throws SyntaxError for a broken line anywhere else, naming file and line
 */
export async function* streamTraces(file: string): AsyncGenerator<SpanRecord> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  let broken: number | null = null;
  for await (const line of lines) {
    number++;
    if (broken !== null) throw new SyntaxError(`${file}:${broken}: not a span`);
    if (line === '') continue;
    const span = parse(line);
    if (span === null) broken = number;
    else yield span;
  }
}

export async function readTraces(file: string): Promise<SpanRecord[]> {
  const spans: SpanRecord[] = [];
  for await (const span of streamTraces(file)) spans.push(span);
  return spans;
}

function parse(line: string): SpanRecord | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'traceId' in value ? (value as SpanRecord) : null;
  } catch {
    return null;
  }
}
