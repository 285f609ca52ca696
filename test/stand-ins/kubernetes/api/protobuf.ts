import type { JsonObject } from '../state/json.ts';

/** Fields of a message by number: a text, a number, or a message within. */
interface Shape {
  readonly [number: number]: readonly [name: string, form: 'text' | 'number' | Shape];
}

const metadata: Shape = { 1: ['name', 'text'], 2: ['generateName', 'text'], 3: ['namespace', 'text'] };

/**
 * What kubectl's typed clients send in no other form: the objects of the authorization and policy groups
 * (k8s.io/api/authorization/v1 and policy/v1, `generated.proto`).
 */
const shapes: { readonly [kind: string]: Shape } = {
  SelfSubjectAccessReview: {
    2: [
      'spec',
      {
        1: [
          'resourceAttributes',
          {
            1: ['namespace', 'text'],
            2: ['verb', 'text'],
            3: ['group', 'text'],
            4: ['version', 'text'],
            5: ['resource', 'text'],
            6: ['subresource', 'text'],
            7: ['name', 'text'],
          },
        ],
        2: ['nonResourceAttributes', { 1: ['path', 'text'], 2: ['verb', 'text'] }],
      },
    ],
  },
  SelfSubjectRulesReview: { 2: ['spec', { 1: ['namespace', 'text'] }] },
  SelfSubjectReview: {},
  Eviction: { 1: ['metadata', metadata], 2: ['deleteOptions', { 1: ['gracePeriodSeconds', 'number'] }] },
};

const unknown: Shape = { 1: ['typeMeta', { 1: ['apiVersion', 'text'], 2: ['kind', 'text'] }] };

/** An object in the `k8s\0` envelope, where it is of a kind that is known here. */
export function fromProtobuf(body: Buffer): JsonObject | null {
  if (body.toString('latin1', 0, 4) !== 'k8s\0') return null;
  const envelope = body.subarray(4);
  const said = decode(envelope, unknown).typeMeta as { apiVersion?: string; kind?: string } | undefined;
  const shape = shapes[said?.kind ?? ''];
  if (!shape) return null;
  const raw = [...fields(envelope)].find(({ number }) => number === 2)?.bytes ?? Buffer.alloc(0);
  return { ...(said as JsonObject), ...decode(raw, shape) };
}

function decode(body: Buffer, shape: Shape): JsonObject {
  const result: JsonObject = {};
  for (const { number, value, bytes } of fields(body)) {
    const [name, form] = shape[number] ?? [];
    if (name === undefined || form === undefined) continue;
    result[name] = form === 'number' ? value : form === 'text' ? bytes.toString('utf8') : decode(bytes, form);
  }
  return result;
}

function* fields(body: Buffer): Generator<{ readonly number: number; readonly value: number; readonly bytes: Buffer }> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; at < body.length; scale *= 128) {
      const byte = body[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    return value;
  };
  while (at < body.length) {
    const key = varint();
    const value = varint();
    const size = (key & 7) === 2 ? value : 0;
    yield { number: key >>> 3, value, bytes: body.subarray(at, at + size) };
    at += size;
  }
}
