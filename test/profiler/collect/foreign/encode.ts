import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A document of `otlpDocument` as protobuf, by field numbers and not by the decoder under test. */
export function encodeProtobuf(of: { readonly resourceSpans: readonly unknown[] }): Uint8Array {
  const request = new BinaryWriter();
  for (const group of of.resourceSpans as { resource: { attributes: Pair[] }; scopeSpans: { spans: Span[] }[] }[]) {
    request.tag(1, 2).fork();
    // The spans before the resource, as the format allows.
    for (const scope of group.scopeSpans) {
      request.tag(2, 2).fork();
      for (const span of scope.spans) encodeSpan(request, span);
      request.join();
    }
    request.tag(1, 2).fork();
    for (const pair of group.resource.attributes) encodePair(request, 1, pair);
    request.join().join();
  }
  return request.finish();
}
interface Pair {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}
interface Span {
  readonly [key: string]: unknown;
  readonly attributes: Pair[];
  readonly status: { code?: number };
}
function encodePair(to: BinaryWriter, field: number, { key, value }: Pair): void {
  to.tag(field, 2).fork().tag(1, 2).string(key).tag(2, 2).fork();
  if (value.stringValue !== undefined) to.tag(1, 2).string(value.stringValue);
  else to.tag(3, 0).int64(BigInt(value.intValue ?? 0));
  to.join().join();
}
function encodeSpan(to: BinaryWriter, span: Span): void {
  const bytes = (id: unknown) => Buffer.from(String(id), 'hex');
  to.tag(2, 2).fork();
  to.tag(1, 2).bytes(bytes(span.traceId)).tag(2, 2).bytes(bytes(span.spanId));
  if (span.parentSpanId !== undefined) to.tag(4, 2).bytes(bytes(span.parentSpanId));
  to.tag(5, 2).string(String(span.name)).tag(6, 0).int32(Number(span.kind));
  to.tag(7, 1)
    .fixed64(BigInt(String(span.startTimeUnixNano)))
    .tag(8, 1)
    .fixed64(BigInt(String(span.endTimeUnixNano)));
  for (const pair of span.attributes) encodePair(to, 9, pair);
  to.tag(15, 2).fork();
  if (span.status.code !== undefined) to.tag(3, 0).int32(span.status.code);
  to.join().join();
}
