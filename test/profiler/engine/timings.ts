/** Operator timings of an engine whose kernels are straight lines, in microseconds, as the profiler of a real one writes them. */
export function timingsOf() {
  const sizes = [1, 8, 16, 64, 128, 256, 512, 1024, 2048];
  const dense = sizes.flatMap((tokens) => [
    `qkv_proj,${tokens},${100 + 2 * tokens}`,
    `layernorm,${tokens},3`,
    `embedding,${tokens},30`,
    `final_layernorm,${tokens},10`,
  ]);
  const perSequence = [1, 8, 16, 64, 256].flatMap((sequences) => [
    `lm_head,${sequences},${800 + sequences}`,
    `sampler,${sequences},${100 + sequences}`,
  ]);
  const attention: string[] = [];
  for (const chunk of [0, 16, 128, 512, 2048])
    for (const before of chunk === 0 ? [0] : [0, 512])
      for (const decodes of [0, 1, 16, 64])
        for (const context of decodes === 0 ? [0] : [64, 1024, 4096]) {
          if (chunk + decodes === 0) continue;
          const pairs = chunk * (before + (chunk + 1) / 2);
          attention.push(`${chunk},${before},${decodes},${context},${5 + 0.02 * decodes * context + 1e-4 * pairs}`);
        }
  const lines = (header: string, rows: readonly string[]) => `${[header, ...rows].join('\n')}\n`;
  return {
    dense: lines('layer,tokens,time_us', dense),
    perSequence: lines('layer,sequences,time_us', perSequence),
    attention: lines('prefill_chunk,kv_prefill,n_decode,kv_decode,time_us', attention),
  };
}
