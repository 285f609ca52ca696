import type { OutsideHost } from './access.ts';

export type HostPort = Pick<OutsideHost, 'host' | 'port'>;

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * One place outside as people write it: `api.example.com:443`, `api.example.com` (port 443), `10.0.0.5:8080`,
 * `[fd00::1]:443` or an http(s) URL, whose path does not count. Undefined when it is none of these: there are no wildcards.
 */
export function parseOutsideHost(text: string): HostPort | undefined {
  const scheme = /^(https?):\/\//i.exec(text)?.[1]?.toLowerCase();
  const authority = scheme === undefined ? text : (text.slice(scheme.length + 3).split(/[/?#]/)[0] ?? '');
  const split = /^(\[[0-9a-f:.]+\]|[^\s:[\]@/]+)(?::(\d{1,5}))?$/i.exec(authority);
  const host = split?.[1]?.toLowerCase().replace(/\.$/, '');
  const port = Number(split?.[2] ?? (scheme === 'http' ? 80 : 443));
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  if (host.startsWith('[')) return host.includes(':') ? { host: host.slice(1, -1), port } : undefined;
  return host.length <= 253 && host.split('.').every((part) => label.test(part)) ? { host, port } : undefined;
}

/** `api.example.com:443`, `[fd00::1]:443`. */
export const hostWord = ({ host, port }: HostPort): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/**
 * The namespace of a name that a cluster gives its Services and pods: `name.namespace.svc` and longer. Public name servers
 * know none of these, and their addresses are always private.
 */
export function clusterNamespaceOf(host: string): string | undefined {
  const [, namespace] = /^(?:[a-z0-9-]+\.)+?([a-z0-9-]+)\.svc(?:\.cluster\.local)?$/.exec(host) ?? [];
  return namespace;
}
