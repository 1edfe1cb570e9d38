/** What an address is for: a name may lead anywhere, so it is the address that is looked at, and not the name. */
import { BlockList, isIP } from 'node:net'

/** `never`: no service of anybody's answers there, or one that tells secrets to whoever asks from this machine. */
export type AddressKind = 'loopback' | 'never' | 'other'

type Range = readonly [network: string, prefix: number]

const loopback: readonly Range[] = [['127.0.0.0', 8], ['::1', 128]]

const neverIPv4: readonly Range[] = [
  ['0.0.0.0', 8], // this machine, on many systems
  ['100.100.100.200', 32], // metadata of Alibaba
  ['168.63.129.16', 32], // metadata of Azure
  ['169.254.0.0', 16], // link-local, and metadata of most clouds
  ['192.0.0.0', 24], // protocol assignments, and metadata of Oracle
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]
const neverIPv6: readonly Range[] = [
  ['::', 96], // unspecified, and IPv4 in a form that nobody uses any more
  ['64:ff9b:1::', 48],
  ['2001::', 32], // Teredo and 6to4 wrap an IPv4 address of somebody's choice
  ['2002::', 16],
  ['fd00:ec2::254', 128], // metadata of AWS
  ['fd20:ce::254', 128], // metadata of Google
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]

const familyOf = (address: string) => (address.includes(':') ? 'ipv6' : 'ipv4')

/** How a resolver of a network without IPv4 writes an IPv4 address. */
const nat64 = ([network, prefix]: Range): Range => [`64:ff9b::${network}`, prefix + 96]

const lists = {
  loopback: blockList(loopback),
  never: blockList([...neverIPv4, ...neverIPv6, ...neverIPv4.map(nat64), nat64(['127.0.0.0', 8])]),
}

function blockList(ranges: readonly Range[]): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of ranges) list.addSubnet(network, prefix, familyOf(network))
  return list
}

/** The kind of an IP address, IPv4 inside IPv6 (`::ffff:…`) included. What is no address is for nothing. */
export function addressKind(address: string): AddressKind {
  const plain = address.replace(/%.*$/, '')
  if (isIP(plain) === 0) return 'never'
  if (lists.loopback.check(plain, familyOf(plain))) return 'loopback'
  return lists.never.check(plain, familyOf(plain)) ? 'never' : 'other'
}
