import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GgufTensor, ggufPieces } from '../../../../runtime/llm/llama-cpp/gguf.ts';
import { modelFileOf, recipeVersion } from '../../../../runtime/llm/llama-cpp/model-file.ts';
import { type ModelShape, parametersOf, randomModelPieces, randomModels } from '../../../../runtime/llm/llama-cpp/random-model.ts';
import { vocabularyOf } from '../../../../runtime/llm/llama-cpp/vocabulary.ts';
import { optionalPackageUrl } from '../../../../runtime/optional-package.ts';
import { readGguf } from './read-gguf.ts';
import { hasLlama } from './support.ts';

const small: ModelShape = { layers: 1, width: 64, feedForward: 96, heads: 2, keyValueHeads: 1, vocabulary: 2048, contextTokens: 512 };
const bytesOf = (shape: ModelShape, seed: number) => Buffer.concat(randomModelPieces('small', shape, seed));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('GGUF', () => {
  it('reads back what was written, every tensor aligned', () => {
    const tensor = fc.record({ rows: fc.integer({ min: 1, max: 5 }), columns: fc.integer({ min: 1, max: 40 }), fill: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string().map((key) => `any.${key}`),
          fc.string(),
          { maxKeys: 5 },
        ),
        fc.array(tensor, { maxLength: 5 }),
        (texts, drawn) => {
          const tensors = drawn.map(
            ({ rows, columns, fill }, index): GgufTensor => ({
              name: `t${index}`,
              shape: [columns, rows],
              type: 'f16',
              bytes: Buffer.alloc(columns * rows * 2, fill),
            }),
          );
          const metadata = Object.fromEntries(Object.entries(texts).map(([key, string]) => [key, { string }]));
          const read = readGguf(Buffer.concat(ggufPieces({ ...metadata, number: { uint32: 7 }, list: { floats: [1, -2.5] } }, tensors)));
          expect(read.metadata).toEqual({ ...texts, number: 7, list: [1, -2.5] });
          expect(read.tensors.map(({ name, shape, bytes }) => ({ name, shape, bytes }))).toEqual(
            tensors.map(({ name, shape, bytes }) => ({ name, shape: [...shape], bytes })),
          );
          for (const { offset } of read.tensors) expect(offset % 32).toBe(0);
        },
      ),
    );
  });
});

describe('random models', () => {
  it('have the same bytes for the same seed, others for another', () => {
    expect(sha256(bytesOf(small, 1))).toBe(sha256(bytesOf(small, 1)));
    expect(sha256(bytesOf(small, 1))).not.toBe(sha256(bytesOf(small, 2)));
  });

  it('keep their bytes from release to release, or count up the recipe', () => {
    expect([recipeVersion, sha256(bytesOf(small, 1))]).toEqual([1, '3dd4e82fe35c385f88103bbc1eff428e913aa3e6dc1e82fb619b8633e7b0979d']);
  });

  it('are as large as their names say', () => {
    expect(parametersOf(randomModels['random-8m']) / 8e6).toBeCloseTo(1, 1);
    expect(parametersOf(randomModels['random-98m']) / 98e6).toBeCloseTo(1, 1);
    // Counted in the file, not from the formula.
    const elements = readGguf(bytesOf(small, 1)).tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(elements).toBe(parametersOf(small));
  });

  it('have weights around zero with the spread that keeps lengths', () => {
    const { tensors } = readGguf(bytesOf({ ...small, width: 128 }, 3));
    const matrix = tensors.find(({ name }) => name === 'blk.0.ffn_up.weight');
    const values = dequantized(matrix?.bytes ?? Buffer.alloc(0));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    expect(values).toHaveLength(128 * 96);
    expect(Math.abs(mean) * Math.sqrt(128)).toBeLessThan(0.05);
    expect(deviation * Math.sqrt(128)).toBeCloseTo(1, 1);
  });

  it('leave dimension 0 of the stream alone', () => {
    const { tensors } = readGguf(bytesOf(small, 1));
    for (const name of ['blk.0.attn_output.weight', 'blk.0.ffn_down.weight']) {
      const tensor = tensors.find((one) => one.name === name);
      expect(dequantized(tensor?.bytes ?? Buffer.alloc(0)).slice(0, tensor?.shape[0])).toEqual(Array(tensor?.shape[0]).fill(0));
    }
  });

  it.skipIf(!hasLlama)('have a head that node-llama-cpp reads', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmas-gguf-'));
    try {
      const file = join(folder, 'small.gguf');
      writeFileSync(file, bytesOf(small, 1));
      const { readGgufFileInfo } = (await import(optionalPackageUrl('node-llama-cpp') ?? '')) as {
        readGgufFileInfo(path: string): Promise<{ metadata: Record<string, unknown>; fullTensorInfo: { name: string }[] }>;
      };
      const info = await readGgufFileInfo(file);
      expect(info.metadata).toMatchObject({ general: { architecture: 'llama' }, llama: { block_count: 1, embedding_length: 64 } });
      expect(info.fullTensorInfo.map(({ name }) => name)).toContain('blk.0.ffn_down.weight');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the vocabulary', () => {
  it.each([2048, 4096])('has exactly %i different tokens, each made of two others', (size) => {
    const { tokens, scores, types, speakable } = vocabularyOf(size);
    expect(tokens).toHaveLength(size);
    expect(new Set(tokens).size).toBe(size);
    expect([scores.length, types.length, speakable.length]).toEqual([size, size, size]);
    const known = new Set(tokens);
    const pieces = tokens.slice(259).filter((token) => token.length > 1);
    const joined = (token: string) =>
      Array.from({ length: token.length - 1 }, (_, at) => known.has(token.slice(0, at + 1)) && known.has(token.slice(at + 1)));
    expect(pieces.filter((token) => !joined(token).includes(true))).toEqual([]);
  });

  it('says what sizes it cannot have', () => {
    expect(() => vocabularyOf(300)).toThrow(/at least \d+ tokens, not 300/);
    expect(() => vocabularyOf(1_000_000)).toThrow(/at most \d+ tokens, not 1000000/);
  });
});

describe('model files', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmas-models-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are written once, under a name that says what is in them', () => {
    const file = modelFileOf('random-8m', 5, folder);
    expect(readdirSync(folder)).toHaveLength(1);
    expect(readFileSync(file).equals(Buffer.concat(randomModelPieces('random-8m', randomModels['random-8m'], 5)))).toBe(true);
    writeFileSync(file, 'kept');
    expect(modelFileOf('random-8m', 5, folder)).toBe(file);
    expect(readFileSync(file, 'utf8')).toBe('kept');
    expect(modelFileOf('random-8m', 6, folder)).not.toBe(file);
  });

  it('of others must be there, by their whole path', () => {
    expect(() => modelFileOf('models/mine.gguf', 1, folder)).toThrow(/neither one of random-8m, random-98m nor an absolute path/);
    expect(() => modelFileOf(join(folder, 'none.gguf'), 1, folder)).toThrow(/no GGUF file/);
  });
});

/** Q4_0, read by its definition: scale × (nibble − 8), the low nibbles of a block before the high ones. */
function dequantized(bytes: Buffer): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; at += 18) {
    const bits = bytes.readUInt16LE(at);
    const scale = 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
    const block = [...bytes.subarray(at + 2, at + 18)];
    values.push(...block.map((byte) => scale * ((byte & 15) - 8)), ...block.map((byte) => scale * ((byte >> 4) - 8)));
  }
  return values;
}
