import { thisOwner } from '../process/lease.ts';

/** Labels of everything this target creates, by which it is found again. */
export const labels = {
  deployment: 'dmas-opt.deployment',
  /** JSON of `LeaseOwner`. */
  owner: 'dmas-opt.owner',
  replica: 'dmas-opt.replica',
  /** Of an image of Node.js: its version. */
  image: 'dmas-opt.node',
  /** Of an image of an application: its name. */
  application: 'dmas-opt.application',
} as const;

/** Names of the images we make. Whoever builds on one inherits its labels, so labels alone do not say whose an image is. */
export const repositories = { node: 'dmas-opt-node', application: 'dmas-opt-app' } as const;

export const ownerLabels = (deploymentId: string): { readonly [label: string]: string } => ({
  [labels.deployment]: deploymentId,
  [labels.owner]: JSON.stringify(thisOwner()),
});

const longestName = 48;
/** The end of an id holds the replica and the count of starts. */
const keptEnd = 16;

/**
 * A name the engine accepts for containers and networks, that its name server answers and that may stand in a URL: no
 * dots, since a host that ends in a number after one is read as an IPv4 address, and lower case, as URLs make it.
 */
export function dockerName(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '');
  return name.length <= longestName ? name : `${name.slice(0, longestName - keptEnd)}${name.slice(-keptEnd)}`;
}
