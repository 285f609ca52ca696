import { fail } from '../../../contracts/index.ts';
import type { EmitInput, EmittedFile } from '../../emitter.ts';
import { runAsUser } from '../security.ts';
import { programPath } from '../workloads.ts';

/** One image for all units and services of ours: a layer with their programs on one with Node.js. It can be built from these files alone. */
export function imageFiles({ plan, bundles, facts }: EmitInput, nodeImage: string): readonly EmittedFile[] {
  const native = plan.services.find(({ kind, options }) => kind === 'model' && options.backend === 'llama-cpp');
  if (native !== undefined) {
    fail('DMAS_EXPORT', `Service ${native.id} runs llama.cpp inside Node.js, whose native library no image built from these files has.`, {
      fix: 'Serve the model with an image, e.g. backend vllm, or give the URL of one that runs.',
    });
  }
  const dockerfile = [
    `# The programs of ${plan.application}, ${facts.origin}. Written by dmas-opt.`,
    '# Any image with Node.js 20 or newer will do; nothing is installed or compiled.',
    `ARG NODE_IMAGE=${nodeImage}`,
    'FROM ${NODE_IMAGE}',
    'ENV NODE_ENV=production',
    '# Each pod names the program it runs; this one lists them.',
    'COPY app/ /app/',
    `USER ${runAsUser}:${runAsUser}`,
    'CMD ["ls", "-l", "/app"]',
    '',
  ].join('\n');
  const programs = new Map(bundles.map((bundle) => [programPath(bundle).slice(1), bundle.code]));
  return [
    { path: 'image/Dockerfile', content: dockerfile },
    ...[...programs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, content]) => ({ path: `image/${path}`, content })),
  ];
}
