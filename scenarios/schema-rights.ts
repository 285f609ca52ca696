import { z } from 'zod';
import { hostWord, parseOutsideHost } from '../compiler/contracts/outside-host.ts';

const label = z.string().regex(/^[a-z][a-z0-9-]*$/, 'a label of lower-case letters, digits and dashes');
const region = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'the name of a region, such as eu-central-1');

/** A place outside, in its one spelling `host:port`. */
const outsideHost = z
  .string()
  .refine((text) => parseOutsideHost(text) !== undefined, 'a host and port such as api.example.com:443, without wildcards')
  .transform((text) => hostWord(parseOutsideHost(text) ?? { host: text, port: 443 }));

/** `10.20.0.0/16`, or one address. */
const network = z.string().refine((text) => {
  const [address = '', bits, ...rest] = text.split('/');
  const longest = z.ipv4().safeParse(address).success ? 32 : z.ipv6().safeParse(address).success ? 128 : -1;
  return rest.length === 0 && longest > 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= longest));
}, 'a network such as 10.20.0.0/16');

/** What the application may do beyond what its workflow shows, and what may not come together. */
export const rightsSchema = z.strictObject({
  hosts: z.record(z.string(), z.array(outsideHost)).default({}).meta({
    description: 'Per agent, tool server or tool: places outside it calls (`api.example.com:443`), beside those the workflow declares',
  }),
  networks: z.array(network).default([]).meta({
    description: 'Private networks (`10.20.0.0/16`) that names among the hosts may stand for; a private address written out needs none',
  }),
  domains: z
    .record(
      z.string(),
      z.union([label, z.array(label).min(1)]).transform((value) => (typeof value === 'string' ? [value] : value)),
    )
    .default({})
    .meta({ description: 'Per agent or tool server: its security domain. Two that have different ones never share a unit' }),
  data: z
    .record(z.string(), z.array(label).min(1))
    .default({})
    .meta({ description: 'Per agent or tool server: classes of data it handles' }),
  apart: z.array(z.array(label).min(2)).default([]).meta({ description: 'Classes of data no two of which may be handled in one unit' }),
  regions: z
    .strictObject({
      units: z.array(region).min(1).optional().meta({ description: 'Regions in which units may run; `target.region` must be one of them' }),
      data: z
        .record(label, z.array(region).min(1))
        .default({})
        .meta({ description: 'Per class of data: regions in which units that handle it may run' }),
      telemetry: z
        .array(region)
        .min(1)
        .optional()
        .meta({ description: 'Regions to which traces may be sent; each receiver then needs an entry under `rights.telemetry`' }),
    })
    .prefault({})
    .meta({ description: 'Where units may run and telemetry may go; default: anywhere' }),
  telemetry: z.record(outsideHost, region).default({}).meta({ description: 'Receiver of traces (`host:port`) → the region it stands in' }),
});

export type RightsConfig = z.output<typeof rightsSchema>;
