import { z } from 'zod';
import { fail } from '../../contracts/index.ts';

const words = (text: string) => z.string().default('').describe(text);

/** Tried with: fields, defaults and class names below are those of this version. */
const rayVersion = '2.60.0';

export const rayOptions = z.strictObject({
  rayVersion: z.string().default(rayVersion).describe('Version of Ray in the image'),
  rayImage: words('Image with Ray Serve LLM; empty: rayproject/ray-llm of that version for Python 3.12 and CUDA 13.0'),
  weights: words('Where a model’s name is no Hugging Face id: `main=Qwen/Qwen3-8B`, several separated by commas'),
  scaling: z
    .enum(['auto', 'ray', 'external'])
    .default('auto')
    .describe(
      '`ray`: Serve scales by calls under way; `external`: fixed until somebody else sets it over the REST API; `auto`: `ray` where capacity was measured',
    ),
  maxReplicas: z.coerce.number().int().nonnegative().default(0).describe('Most replicas of each model; 0: as many as the layout has'),
  nodeSelector: words('Labels of the nodes with the GPUs: `pool=gpu,zone=a`'),
  image: words('Name of the image of the units, built from `image/`; empty: the application’s name and the layout’s id'),
  nodeImage: z.string().min(1).default('node:20-slim').describe('Image with Node.js 20 or newer it is built on'),
  otlp: words('OTLP/HTTP base URL the units’ spans go to; empty: none are sent'),
  hfSecret: words('A Secret of the namespace with the key HF_TOKEN, for weights that need one'),
});
export type RayOptions = z.infer<typeof rayOptions>;

/** @throws DmasError `DMAS_EXPORT` for options that are none */
export function readRayOptions(given: { readonly [option: string]: unknown }): RayOptions {
  const known = Object.fromEntries(Object.entries(given).filter(([key]) => key in rayOptions.shape));
  const read = rayOptions.safeParse(known);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  return fail('DMAS_EXPORT', `option ${issue?.path.join('.') ?? ''} of format ray: ${issue?.message ?? 'cannot be read'}`, {
    fix: 'see the options of ray in docs/export.md',
  });
}

/** `a=1,b=2` as a record. @throws DmasError `DMAS_EXPORT` */
export function readPairs(option: string, text: string): { readonly [key: string]: string } {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^\s*([^=]+?)\s*=\s*(\S+)\s*$/.exec(pair) ?? [];
      if (key === undefined || value === undefined)
        fail('DMAS_EXPORT', `option ${option}: "${pair}" is not name=value`, { fix: `--set ${option}=main=Qwen/Qwen3-8B` });
      return [key, value];
    }),
  );
}
