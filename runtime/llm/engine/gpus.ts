/** One GPU, from its maker's data sheet. */
export interface Gpu {
  /** Memory as sold, 1 GB = 2^30 bytes. */
  readonly memoryGb: number;
  /** 1 GB/s = 1e9 bytes per second. */
  readonly bandwidthGbPerS: number;
  /** Dense, without sparsity, accumulating in 32 bits; 1e12 operations per second. */
  readonly bf16Tflops: number;
  readonly fp8Tflops: number;
  /** To another GPU of the same machine, one direction. */
  readonly linkGbPerS: number;
  readonly source: string;
}

/**
 * By the word a scenario and the price table use. GPUs without 8-bit floating point units compute those at their 16-bit rate.
 * GeForce cards halve the rate of tensor cores that accumulate in 32 bits; that is the one given.
 */
export const gpus: { readonly [name: string]: Gpu } = {
  rtx4090: gpu(24, 1008, 165.2, 330.3, 16, 'NVIDIA Ada GPU architecture white paper, appendix A'),
  rtx5090: gpu(32, 1792, 209.5, 419, 32, 'NVIDIA RTX Blackwell GPU architecture white paper, appendix A'),
  rtxpro6000: gpu(96, 1597, 503.8, 1007.6, 32, 'NVIDIA RTX Blackwell PRO GPU architecture white paper, Server Edition'),
  l4: gpu(24, 300, 121, 242, 16, 'NVIDIA L4 data sheet'),
  l40s: gpu(48, 864, 362, 733, 16, 'NVIDIA L40S data sheet'),
  a10g: gpu(24, 600, 70, 70, 16, 'NVIDIA A10G data sheet'),
  'a100-40gb': gpu(40, 1555, 312, 312, 300, 'NVIDIA A100 data sheet'),
  'a100-80gb': gpu(80, 2039, 312, 312, 300, 'NVIDIA A100 data sheet, SXM'),
  h100: gpu(80, 3350, 989, 1979, 450, 'NVIDIA H100 data sheet, SXM'),
  h200: gpu(141, 4800, 989, 1979, 450, 'NVIDIA H200 data sheet, SXM'),
  b200: gpu(180, 8000, 2250, 4500, 900, 'NVIDIA DGX B200 data sheet, per GPU'),
};

function gpu(memoryGb: number, bandwidthGbPerS: number, bf16Tflops: number, fp8Tflops: number, linkGbPerS: number, source: string): Gpu {
  return { memoryGb, bandwidthGbPerS, bf16Tflops, fp8Tflops, linkGbPerS, source };
}

/** The table's name for a GPU as it is written elsewhere: `NVIDIA GeForce RTX 4090`, `RTX-4090`, `H100`. Undefined where it is not known. */
export function findGpu(name: string): string | undefined {
  const plain = (text: string) =>
    text
      .toLowerCase()
      .replace(/nvidia|geforce|blackwell|server|workstation|edition|sxm\d?|hbm3|pcie/g, '')
      .replace(/[^a-z0-9]/g, '');
  const wanted = plain(name);
  const names = Object.keys(gpus);
  return names.find((known) => plain(known) === wanted) ?? names.find((known) => wanted.startsWith(plain(known)));
}
