import { createHash } from 'node:crypto';

/** A StatefulSet's name, with the hash of its revision, becomes a label of its pods, which holds 63 characters. */
const longestName = 48;
const longestPrefix = 24;
const digestLength = 6;

export const digestOf = (text: string, length = digestLength): string => createHash('sha256').update(text).digest('hex').slice(0, length);

/** Lower-case letters, digits and single hyphens, beginning with a letter, as RFC 1035 wants of a Service. */
export function slug(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '');
  return plain === '' ? 'x' : plain;
}

export const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - digestLength - 1).replace(/-+$/, '')}-${digestOf(text)}`;

/** A value of a label for any text. */
export const labelValue = (text: string): string =>
  /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(text) ? text : cut(slug(text), longestName);

/** First part of all names of a deployment. */
export const prefixOf = (name: string): string => cut(slug(name), longestPrefix);

/**
 * One name for each unit and service, which all its objects have; the same for the same plan. Ids that differ only in what a
 * name cannot hold get a digest each.
 */
export function memberNames(prefix: string, ids: readonly string[]): ReadonlyMap<string, string> {
  const plain = new Map(ids.map((id) => [id, cut(slug(id), longestName - prefix.length - 1)]));
  const taken = (name: string) => [...plain.values()].filter((other) => other === name).length > 1;
  return new Map(
    [...plain].map(([id, name]) => {
      const own = taken(name)
        ? `${name.slice(0, longestName - prefix.length - digestLength - 2).replace(/-+$/, '')}-${digestOf(id)}`
        : name;
      return [id, `${prefix}-${own}`];
    }),
  );
}
