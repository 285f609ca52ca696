/** A reader of GGUF files, written from the specification alone (`docs/gguf.md` of ggml-org/ggml) to judge the writer by. */
export function readGguf(bytes: Buffer): {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type: number;
    readonly offset: number;
    readonly bytes: Buffer;
  }[];
} {
  let at = 0;
  const past = (size: number) => {
    at += size;
    return at - size;
  };
  const uint32 = () => bytes.readUInt32LE(past(4));
  const uint64 = () => Number(bytes.readBigUInt64LE(past(8)));
  const string = () => {
    const length = uint64();
    const start = past(length);
    return bytes.toString('utf8', start, at);
  };
  const value = (type: number): unknown => {
    if (type === 4) return uint32();
    if (type === 5) return bytes.readInt32LE(past(4));
    if (type === 6) return bytes.readFloatLE(past(4));
    if (type === 7) return bytes[past(1)] === 1;
    if (type === 8) return string();
    if (type !== 9) throw new Error(`type ${type}`);
    const items = uint32();
    return Array.from({ length: uint64() }, () => value(items));
  };
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Error('not a GGUF file');
  at = 4;
  if (uint32() !== 3) throw new Error('not version 3');
  const tensorCount = uint64();
  const entries = Array.from({ length: uint64() }, () => [string(), value(uint32())] as const);
  const infos = Array.from({ length: tensorCount }, () => {
    const name = string();
    const shape = Array.from({ length: uint32() }, uint64);
    return { name, shape, type: uint32(), offset: uint64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = infos.map((info) => ({
    ...info,
    bytes: bytes.subarray(start + info.offset, start + info.offset + sizeOf(info.shape, info.type)),
  }));
  return { metadata: Object.fromEntries(entries), tensors };
}

function sizeOf(shape: readonly number[], type: number): number {
  const elements = shape.reduce((a, b) => a * b, 1);
  if (type === 0) return elements * 4;
  return type === 1 ? elements * 2 : (elements / 32) * 18;
}
