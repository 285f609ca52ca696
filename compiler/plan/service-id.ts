import { createHash } from 'node:crypto';

/** `model-<pool>`; what no host name may hold (`@`, `+`, `~`) makes way for a hash. At most 63 characters where it does. */
export function serviceId(kind: 'model' | 'router' | 'recorder', pool: string): string {
  if (!/[@+~]/.test(pool)) return `${kind}-${pool}`;
  const plain = pool.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 45);
  return `${kind}-${plain}-${createHash('sha256').update(pool).digest('hex').slice(0, 8)}`;
}
