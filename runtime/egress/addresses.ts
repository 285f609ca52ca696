import { BlockList, isIP } from 'node:net';

/**
 * Addresses that are not of the public internet: the special-purpose registries of IANA (RFC 6890 and its successors), with
 * multicast (RFC 5771) and what is reserved (RFC 1112).
 */
const specialV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
/** Of IPv6 only global unicast is public (RFC 4291), without what is carved out of it. */
const globalV6 = '2000::/3';
const specialV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

/** Networks as one list; a single address is a network of its own. */
export function networksOf(words: readonly string[]): BlockList {
  const list = new BlockList();
  for (const word of words) {
    const [address = '', bits] = word.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list;
}

const special = networksOf([...specialV4, ...specialV6]);
const globalUnicast = networksOf([globalV6]);

/** An IPv4 address in the clothes of IPv6 (`::ffff:10.0.0.1`, RFC 4291) is judged as what it is. */
function plain(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (hex === null) return address;
  const [high, low] = [Number.parseInt(hex[1] ?? '0', 16), Number.parseInt(hex[2] ?? '0', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Whether an address is of the public internet. What is no address is not. */
export function isPublic(given: string): boolean {
  const address = plain(given);
  const family = familyOf(address);
  if (isIP(address) === 0 || special.check(address, family)) return false;
  return family === 'ipv4' || globalUnicast.check(address, family);
}

/** Whether an address lies in one of some networks. */
export function isIn(networks: BlockList, given: string): boolean {
  const address = plain(given);
  return isIP(address) !== 0 && networks.check(address, familyOf(address));
}

/** Whether two spellings are of one address. */
export const sameAddress = (a: string, b: string): boolean => plain(a) === plain(b);
