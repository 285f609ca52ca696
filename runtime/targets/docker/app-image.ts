import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { Bundle } from '../../../compiler/contracts/index.ts';
import { followed, present } from './image.ts';
import { labels, repositories } from './labels.ts';
import { tar } from './tar.ts';

const repository = repositories.application;
const folder = '/app';
/** Units keep what outlives a replica here. */
export const stateInContainer = '/state';
const tagLength = 12;

/** Where a bundle lies in the image: named after its content, so that equal bundles are one file. */
export const bundlePath = ({ sha256 }: Pick<Bundle, 'sha256'>): string => `${folder}/${sha256.slice(0, 16)}.mjs`;

/**
 * The image all units and services of an application run from: one layer with their bundles on an image with Node.js.
 * Named after its content, so what was built once is found again.
 * @returns its name
 */
export async function ensureAppImage(docker: Docker, base: string, application: string, bundles: readonly Bundle[]): Promise<string> {
  const files = new Map(bundles.map((bundle) => [bundlePath(bundle), bundle.code]));
  const { Id: baseId } = await docker.getImage(base).inspect();
  const hash = createHash('sha256').update(JSON.stringify([baseId, application, stateInContainer, [...files.keys()].sort()]));
  const name = `${repository}:${hash.digest('hex').slice(0, tagLength)}`;
  if (await present(docker, name)) return name;
  const entries = [
    { path: 'Dockerfile', content: Buffer.from(dockerfile(base, application)), mode: 0o644 },
    { path: 'root', mode: 0o755 },
    { path: `root${folder}`, mode: 0o755 },
    // Whoever a unit runs as may write there, in a volume as well, which takes this mode over.
    { path: `root${stateInContainer}`, mode: 0o1777 },
    ...[...files].map(([path, code]) => ({ path: `root${path}`, content: Buffer.from(code), mode: 0o444 })),
  ];
  // The builder that every engine has; the newer one needs a session.
  await followed(docker, await docker.buildImage(Readable.from(tar(entries)), { t: name, forcerm: true, version: '1' }));
  return name;
}

/** Labelled first: what a build that was cut off leaves is found by it. */
const dockerfile = (base: string, application: string): string =>
  [`FROM ${base}`, `LABEL ${labels.application}=${JSON.stringify(application)}`, 'COPY root/ /', ''].join('\n');
