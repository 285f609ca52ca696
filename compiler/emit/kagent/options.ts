import { z } from 'zod';
import { fail } from '../../contracts/index.ts';

/** The version of the API these files are written for. */
export const kagentVersion = 'v1alpha2';

export const kagentOptions = z.strictObject({
  version: z.string().default(kagentVersion).describe('Version of kagent’s API; v1alpha2 is the one that takes programs of others (BYO)'),
  namespace: z.string().min(1).default('kagent').describe('Where the agents live; their addresses hold it'),
  controllerNamespace: z
    .string()
    .min(1)
    .default('kagent')
    .describe('Where kagent’s controller runs: it alone of all strangers may call the agents'),
  image: z.string().default('').describe('Name of the image built from `image/`; empty: the application’s name and the layout’s id'),
  nodeImage: z.string().min(1).default('node:20-slim').describe('Image with Node.js 20 or newer it is built on'),
  otlp: z.string().default('').describe('OTLP/HTTP base URL spans go to; empty: none are sent'),
});
export type KagentOptions = z.infer<typeof kagentOptions>;

/** Why other versions cannot hold a layout. */
const otherVersions: { readonly [version: string]: string } = {
  v1alpha1: 'it knows agents that kagent runs itself, and none of type BYO',
  v1alpha3: 'it takes no programs of others any more (no BYO, no Deployment, no replicas), so nothing in it could hold a unit',
};

/** @throws DmasError `DMAS_EXPORT` for options that are none, and for versions of the API that cannot hold a layout */
export function readKagentOptions(given: { readonly [option: string]: unknown }): KagentOptions {
  const known = Object.fromEntries(Object.entries(given).filter(([key]) => key in kagentOptions.shape));
  const read = kagentOptions.safeParse(known);
  if (!read.success) {
    const [issue] = read.error.issues;
    return fail('DMAS_EXPORT', `option ${issue?.path.join('.') ?? ''} of format kagent: ${issue?.message ?? 'cannot be read'}`, {
      fix: 'see the options of kagent in docs/export.md',
    });
  }
  const { version } = read.data;
  if (version === kagentVersion) return read.data;
  const reason = otherVersions[version] ?? 'it is not known here';
  return fail('DMAS_EXPORT', `option version: kagent.dev/${version} cannot hold this layout: ${reason}`, {
    allowed: [kagentVersion],
    fix: `use --set version=${kagentVersion}, or --format kubernetes, which needs no kagent`,
  });
}
