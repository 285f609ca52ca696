import { createHash } from 'node:crypto';
import type { Plan } from '../../contracts/index.ts';

/** KubeRay refuses longer ones: it makes names of clusters and Services of it (`MaxRayServiceNameLength`). */
const longestName = 47;
const suffix = '-models';

/** A DNS label; names that had to be cut end with a hash. */
export function rayServiceName({ application }: Pick<Plan, 'application'>): string {
  const plain = application
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '');
  const name = plain === '' ? 'app' : plain;
  if (name.length + suffix.length <= longestName) return `${name}${suffix}`;
  const hash = createHash('sha256').update(application).digest('hex').slice(0, 6);
  return `${name.slice(0, longestName - suffix.length - hash.length - 1).replace(/-+$/, '')}-${hash}${suffix}`;
}
