import { createHash } from 'node:crypto';

/** Room for what others put before and behind it in a name of 63 characters (RFC 1035). */
const longest = 40;

/**
 * The host name of a unit or service: lower case letters, digits and dashes. Ids that are none already, or are too long,
 * get a part of their hash, so that no two become one name.
 */
export function hostNameOf(id: string): string {
  if (id.length <= longest && /^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(id)) return id;
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 8);
  const plain = id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, longest - hash.length - 1)
    .replace(/-+$/, '');
  return `${plain === '' ? 'm' : plain}-${hash}`;
}
