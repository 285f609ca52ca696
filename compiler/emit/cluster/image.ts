import type { Bundle } from '../../contracts/index.ts';
import type { EmittedFile } from '../emitter.ts';
import { programPath } from '../kubernetes/workloads.ts';

/** The image of all units and services of ours: their programs on plain Node.js, each under a name made of its content. */
export function imageFiles(bundles: readonly Bundle[], nodeImage: string): readonly EmittedFile[] {
  const dockerfile = [`ARG NODE_IMAGE=${nodeImage}`, 'FROM ${NODE_IMAGE}', 'COPY app/ /app/', 'USER 10001', ''].join('\n');
  // Equal programs are one file.
  const programs = new Map(bundles.map((bundle) => [programPath(bundle).slice(1), bundle.code]));
  return [
    { path: 'image/Dockerfile', content: dockerfile },
    ...[...programs].map(([path, content]) => ({ path: `image/${path}`, content })),
  ];
}

/** How the image comes to where the cluster finds it. */
export const imageLines = (image: string): string[] => ['```sh', `docker build -t ${image} image`, `docker push ${image}`, '```'];
