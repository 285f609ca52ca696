import { z } from 'zod';

/** What `compose` takes, with the defaults filled in. */
export interface ComposeSettings {
  readonly port: number;
  readonly nodeImage: string;
  readonly nginxImage: string;
}

export const settingsOf = (options: { readonly [option: string]: unknown }): ComposeSettings =>
  z.object({ port: z.number(), nodeImage: z.string(), nginxImage: z.string() }).parse(options);

/** Ours run as nobody in particular: no user of any host has this number (`nonroot` of distroless images). */
export const userOfOurs = '65532:65532';
export const stateFolder = '/var/lib/dmas-opt';
export const bindingFile = '/app/binding.json';
