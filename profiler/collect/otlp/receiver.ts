import type { Collector } from '../collector.ts';
import { type OtlpHttpOptions, serveOtlpHttp } from './http.ts';
import { decodeJson } from './json.ts';
import { createSpanPool } from './pool.ts';
import { decodeProtobuf } from './protobuf.ts';

export interface ReceiverOptions extends OtlpHttpOptions {
  /** About 1 KB each in memory. */
  readonly maxSpans?: number;
}

/** The receiver of traces: `POST /v1/traces` and `GET /healthz`. A bad request is answered, never thrown. */
export async function startReceiver(options: ReceiverOptions): Promise<Collector> {
  const { maxSpans = 400_000 } = options;
  const pool = createSpanPool(maxSpans, maxSpans);
  const { url, close } = await serveOtlpHttp(options, (body, json) =>
    pool.add(json ? decodeJson(body.toString('utf8')) : decodeProtobuf(body)),
  );
  return { url, take: (blockId) => pool.take(blockId), close };
}
