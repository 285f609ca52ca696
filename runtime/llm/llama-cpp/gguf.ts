/** A value of a GGUF file's head. Numbers are told apart by what they are stored as. */
export type GgufValue =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly floats: readonly number[] }
  | { readonly ints: readonly number[] };

/** Numbers of types in the file. Source: the GGUF specification, `docs/gguf.md` of ggml-org/ggml. */
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
export const tensorTypes = { f32: 0, f16: 1, q4_0: 2 } as const;

export interface GgufTensor {
  readonly name: string;
  /** Fastest first, as ggml counts: a matrix with `columns` inputs and `rows` outputs is `[columns, rows]`. */
  readonly shape: readonly number[];
  readonly type: keyof typeof tensorTypes;
  readonly bytes: Buffer;
}

const alignmentBytes = 32;
const padded = (size: number) => Math.ceil(size / alignmentBytes) * alignmentBytes;

/** The pieces of a GGUF file of version 3, to be written one after the other. Equal input gives equal bytes. */
export function ggufPieces(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Buffer[] {
  const entries = Object.entries(metadata);
  let offset = 0;
  const infos = tensors.map(({ name, shape, type, bytes }) => {
    const info = Buffer.concat([text(name), uint32(shape.length), ...shape.map(uint64), uint32(tensorTypes[type]), uint64(offset)]);
    offset += padded(bytes.length);
    return info;
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.flatMap(([key, value]) => [text(key), encoded(value)]),
    ...infos,
  ]);
  return [head, filler(head.length), ...tensors.flatMap(({ bytes }) => [bytes, filler(bytes.length)])];
}

const filler = (size: number) => Buffer.alloc(padded(size) - size);

function encoded(value: GgufValue): Buffer {
  if ('uint32' in value) return Buffer.concat([uint32(valueTypes.uint32), uint32(value.uint32)]);
  if ('float32' in value) return Buffer.concat([uint32(valueTypes.float32), float32(value.float32)]);
  if ('bool' in value) return Buffer.concat([uint32(valueTypes.bool), Buffer.from([value.bool ? 1 : 0])]);
  if ('string' in value) return Buffer.concat([uint32(valueTypes.string), text(value.string)]);
  if ('strings' in value) return list('string', value.strings.map(text));
  if ('floats' in value) return list('float32', value.floats.map(float32));
  return list('int32', value.ints.map(int32));
}

const list = (type: 'string' | 'float32' | 'int32', items: readonly Buffer[]) =>
  Buffer.concat([uint32(valueTypes.array), uint32(valueTypes[type]), uint64(items.length), ...items]);

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
