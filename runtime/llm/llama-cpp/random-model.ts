import { type GgufTensor, type GgufValue, ggufPieces } from './gguf.ts';
import { specialTokens, vocabularyOf } from './vocabulary.ts';

/** The form of a llama model. */
export interface ModelShape {
  readonly layers: number;
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  /** Fewer than `heads`: groups of heads share their keys and values. */
  readonly keyValueHeads: number;
  readonly vocabulary: number;
  /** Tokens of context the model says it was made for. */
  readonly contextTokens: number;
}

/** The models we can write ourselves, by name. */
export const randomModels = {
  'random-8m': { layers: 8, width: 256, feedForward: 864, heads: 4, keyValueHeads: 2, vocabulary: 2048, contextTokens: 32_768 },
  'random-98m': { layers: 12, width: 768, feedForward: 2560, heads: 12, keyValueHeads: 6, vocabulary: 4096, contextTokens: 32_768 },
} as const satisfies Record<string, ModelShape>;
export type RandomModelName = keyof typeof randomModels;

export const parametersOf = ({ layers, width, feedForward, heads, keyValueHeads, vocabulary }: ModelShape): number => {
  const keyValueWidth = (width / heads) * keyValueHeads;
  return layers * (2 * width * width + 2 * width * keyValueWidth + 3 * width * feedForward + 2 * width) + width + 2 * vocabulary * width;
};

/** Weights of one Q4_0 block, which share a scale of 2 bytes and have 4 bits each. Source: `block_q4_0` in ggml's `ggml-common.h`. */
const blockWeights = 32;
const blockBytes = 18;

/**
 * A GGUF file of the llama architecture whose weights are drawn from `seed`: nonsense in, nonsense out, but with everything a model
 * has to do. Matrices are Q4_0, embeddings F16. Equal shape and seed give equal bytes.
 *
 * Dimension 0 of the residual stream holds a constant that no layer touches. Through it the output layer holds back what nobody could
 * read aloud: bytes, marks and the end of text, whose place a random model could not know.
 */
export function randomModelPieces(name: string, shape: ModelShape, seed: number, more: Readonly<Record<string, GgufValue>> = {}): Buffer[] {
  const { layers, width, feedForward, heads, keyValueHeads } = shape;
  const vocabulary = vocabularyOf(shape.vocabulary);
  const keyValueWidth = (width / heads) * keyValueHeads;
  const random = randomWords(seed);
  const matrix = (at: string, columns: number, rows: number, keepsFirst = false): GgufTensor => ({
    name: at,
    shape: [columns, rows],
    type: 'q4_0',
    bytes: quantized(columns, rows, keepsFirst, random),
  });
  const ones = (at: string): GgufTensor => ({
    name: at,
    shape: [width],
    type: 'f32',
    bytes: Buffer.from(new Float32Array(width).fill(1).buffer),
  });
  const embedding = (at: string, scale: number, first: (token: number) => number): GgufTensor => ({
    name: at,
    shape: [width, shape.vocabulary],
    type: 'f16',
    bytes: halves(width, shape.vocabulary, scale, first, random),
  });
  const tensors: GgufTensor[] = [
    embedding('token_embd.weight', 1, () => constant),
    ...Array.from({ length: layers }, (_, layer) => `blk.${layer}`).flatMap((block) => [
      ones(`${block}.attn_norm.weight`),
      matrix(`${block}.attn_q.weight`, width, width),
      matrix(`${block}.attn_k.weight`, width, keyValueWidth),
      matrix(`${block}.attn_v.weight`, width, keyValueWidth),
      matrix(`${block}.attn_output.weight`, width, width, true),
      ones(`${block}.ffn_norm.weight`),
      matrix(`${block}.ffn_gate.weight`, width, feedForward),
      matrix(`${block}.ffn_up.weight`, width, feedForward),
      matrix(`${block}.ffn_down.weight`, feedForward, width, true),
    ]),
    ones('output_norm.weight'),
    // Logits with a standard deviation of 3: some tokens are clearly likelier than others.
    embedding('output.weight', 3 / Math.sqrt(width), (token) => (vocabulary.speakable[token] ? 0 : heldBack)),
  ];
  const metadata: Record<string, GgufValue> = {
    'general.architecture': { string: 'llama' },
    'general.name': { string: `${name}, weights drawn from seed ${seed}` },
    'general.quantization_version': { uint32: 2 },
    // "mostly Q4_0". Source: `llama_ftype` in llama.cpp's `include/llama.h`.
    'general.file_type': { uint32: 2 },
    'llama.block_count': { uint32: layers },
    'llama.context_length': { uint32: shape.contextTokens },
    'llama.embedding_length': { uint32: width },
    'llama.feed_forward_length': { uint32: feedForward },
    'llama.attention.head_count': { uint32: heads },
    'llama.attention.head_count_kv': { uint32: keyValueHeads },
    'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
    'llama.rope.dimension_count': { uint32: width / heads },
    'llama.rope.freq_base': { float32: 500_000 },
    'llama.vocab_size': { uint32: shape.vocabulary },
    'tokenizer.ggml.model': { string: 'llama' },
    'tokenizer.ggml.pre': { string: 'default' },
    'tokenizer.ggml.tokens': { strings: vocabulary.tokens },
    'tokenizer.ggml.scores': { floats: vocabulary.scores },
    'tokenizer.ggml.token_type': { ints: vocabulary.types },
    'tokenizer.ggml.bos_token_id': { uint32: specialTokens.begin },
    'tokenizer.ggml.eos_token_id': { uint32: specialTokens.end },
    'tokenizer.ggml.unknown_token_id': { uint32: specialTokens.unknown },
    'tokenizer.ggml.add_bos_token': { bool: false },
    'tokenizer.ggml.add_eos_token': { bool: false },
    // The parts of a prompt are tokenized one by one and must not each gain a space.
    'tokenizer.ggml.add_space_prefix': { bool: false },
    ...more,
  };
  return ggufPieces(metadata, tensors);
}

/** The constant in the residual stream: well above what a random layer adds, well below what would drown it in the norm. */
const constant = 4;
/** Times the constant, over the norm of the stream (about 2): far below any logit that is drawn. */
const heldBack = -24;

/** xorshift32 in bulk: 32 random bits a call. Source: G. Marsaglia, "Xorshift RNGs", 2003. */
function randomWords(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x6a09e667) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
}

/** Two weights from each random byte: each nibble 1 to 15, for -7 to 7; 0 would be -8 and shift the mean, so it becomes 8, for 0. */
const balancedNibbles = Uint8Array.from({ length: 256 }, (_, byte) => ((byte >> 4 || 8) << 4) | (byte & 15 || 8));
/** Standard deviation of a nibble so drawn: -7 to 7 uniform, with 0 twice as likely. */
const nibbleDeviation = Math.sqrt((2 * (1 + 4 + 9 + 16 + 25 + 36 + 49)) / 16);

/** Weights with a standard deviation of 1/√columns, which keeps the length of what they are applied to. */
function quantized(columns: number, rows: number, keepsFirst: boolean, random: () => number): Buffer {
  const bytes = Buffer.allocUnsafe((columns / blockWeights) * rows * blockBytes);
  const scale = half(1 / Math.sqrt(columns) / nibbleDeviation);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    bytes.writeUInt16LE(scale, at);
    for (let word = at + 2; word < at + blockBytes; word += 4) {
      const bits = random();
      bytes[word] = balancedNibbles[bits & 255] ?? 0;
      bytes[word + 1] = balancedNibbles[(bits >>> 8) & 255] ?? 0;
      bytes[word + 2] = balancedNibbles[(bits >>> 16) & 255] ?? 0;
      bytes[word + 3] = balancedNibbles[bits >>> 24] ?? 0;
    }
  }
  // The first row of the outputs is zero: the layer leaves dimension 0 alone.
  if (keepsFirst) for (let at = 0; at < (columns / blockWeights) * blockBytes; at += blockBytes) bytes.fill(0x88, at + 2, at + blockBytes);
  return bytes;
}

function halves(columns: number, rows: number, scale: number, first: (row: number) => number, random: () => number): Buffer {
  // Uniform over -127 to 127 has a standard deviation of 73.3.
  const table = Uint16Array.from({ length: 256 }, (_, byte) => half(((byte === 0 ? 0 : byte - 128) / 73.3) * scale));
  const bytes = Buffer.allocUnsafe(columns * rows * 2);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column += 4) {
      const bits = random();
      const at = (row * columns + column) * 2;
      for (let lane = 0; lane < 4; lane++) bytes.writeUInt16LE(table[(bits >>> (8 * lane)) & 255] ?? 0, at + 2 * lane);
    }
    bytes.writeUInt16LE(half(first(row)), row * columns * 2);
  }
  return bytes;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** IEEE 754 binary16 by truncation; too small becomes zero. The weights here are far from its upper end. */
function half(value: number): number {
  single[0] = value;
  const bits = singleBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}
