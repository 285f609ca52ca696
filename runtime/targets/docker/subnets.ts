import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** A range of IPv4 addresses: those whose first `prefix` bits are those of `base`. */
export interface Range {
  readonly base: number;
  readonly prefix: number;
}

const addressBits = 32;
/** Network, broadcast, gateway, and the address that stands for a gateway where there is no way out. */
const addressesBesideMembers = 4;
/** The smallest subnet that holds two members. */
const longestPrefix = 29;

/** Null for what is no IPv4 range in the notation of RFC 4632, e.g. `10.213.0.0/16`. */
export function parseRange(text: string): Range | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined) return null;
  const [a = 0, b = 0, c = 0, d = 0, prefix = 0] = parts;
  if ([a, b, c, d].some((byte) => byte > 255) || prefix > addressBits) return null;
  const size = 2 ** (addressBits - prefix);
  const address = ((a * 256 + b) * 256 + c) * 256 + d;
  return { base: Math.floor(address / size) * size, prefix };
}

export const printAddress = (address: number): string => [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
export const printRange = ({ base, prefix }: Range): string => `${printAddress(base)}/${prefix}`;

const sizeOf = ({ prefix }: Range): number => 2 ** (addressBits - prefix);
export const overlap = (a: Range, b: Range): boolean => a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);

/** The longest prefix whose subnet has room for so many containers. */
export function prefixFor(members: number): number {
  let prefix = longestPrefix;
  while (2 ** (addressBits - prefix) - addressesBesideMembers < members) prefix -= 1;
  return prefix;
}

/**
 * A subnet of `within` that overlaps none of `used`; the search begins at a share of the way through the range, so that
 * several users of one engine seldom want the same. Null when the range is full.
 *
 * @param start 0 to 1
 */
export function freeSubnet(within: Range, prefix: number, used: readonly Range[], start = 0): Range | null {
  if (prefix < within.prefix) return null;
  const size = 2 ** (addressBits - prefix);
  const count = sizeOf(within) / size;
  const first = Math.min(count - 1, Math.floor(start * count));
  for (let tried = 0; tried < count; tried += 1) {
    const candidate = { base: within.base + ((first + tried) % count) * size, prefix };
    if (!used.some((other) => overlap(candidate, other))) return candidate;
  }
  return null;
}

/** What this machine has an address in or a route to; its default route is none of them. */
export function rangesHere(): Range[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.flatMap(({ cidr }) => (cidr && parseRange(cidr)) || []));
  return [...addresses, ...parseRoutes(routeTable())];
}

function routeTable(): string {
  try {
    return readFileSync('/proc/net/route', 'latin1');
  } catch {
    // Not Linux: its interfaces must do.
    return '';
  }
}

/** Linux's table of routes: destination and mask in hexadecimal, in the byte order of x86 and ARM. */
export function parseRoutes(table: string): Range[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination, , , , , , mask] = line.split('\t');
      if (destination === undefined || mask === undefined || destination === '00000000') return [];
      const prefix = [...reversed(mask).toString(2)].filter((bit) => bit === '1').length;
      return { base: reversed(destination), prefix };
    });
}

const reversed = (hex: string): number => Number.parseInt((hex.match(/../g) ?? []).reverse().join(''), 16);
