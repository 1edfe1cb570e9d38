/** An address as 16-bit groups: two for IPv4, eight for IPv6. */
type Address = readonly number[]
export type Cidr = { address: Address; bits: number }

const ipv4Pattern = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

function parseIpv4(text: string): Address | undefined {
  const found = ipv4Pattern.exec(text)
  if (!found) return undefined
  const octets = found.slice(1).map(Number) as [number, number, number, number]
  // A leading zero is octal to some readers and decimal to others: refused.
  const clean = found.slice(1).every((octet) => octet === '0' || !octet.startsWith('0'))
  if (!clean || octets.some((octet) => octet > 255)) return undefined
  return [octets[0] * 256 + octets[1], octets[2] * 256 + octets[3]]
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const last = parts[parts.length - 1]!
  const tail = last.includes('.') ? parseIpv4(last) : undefined
  const words = tail ? parts.slice(0, -1) : parts
  if (!words.every((word) => /^[0-9a-fA-F]{1,4}$/.test(word))) return undefined
  return [...words.map((word) => Number.parseInt(word, 16)), ...(tail ?? [])]
}

function parseIpv6(text: string): Address | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0]!)
  const tail = halves.length === 2 ? parseGroups(halves[1]!) : []
  if (!head || !tail) return undefined
  if (halves.length === 1) return head.length === 8 ? head : undefined
  const missing = 8 - head.length - tail.length
  return missing < 1 ? undefined : [...head, ...Array<number>(missing).fill(0), ...tail]
}

/** IPv4-mapped IPv6 (`::ffff:10.0.0.1`) is the IPv4 address it carries. */
function parseAddress(text: string): Address | undefined {
  const address = text.includes(':') ? parseIpv6(text) : parseIpv4(text)
  const mapped = address?.length === 8 && address[5] === 0xffff && address.slice(0, 5).every((group) => group === 0)
  return mapped ? address.slice(6) : address
}

/**
 * `10.0.0.0/8` or `2001:db8::/32`; undefined when it is neither. A mapped network counts its bits as
 * IPv6 does, so that `::ffff:10.0.0.0/104` is `10.0.0.0/8` and fewer than 96 bits name no IPv4 network.
 */
export function parseCidr(text: string): Cidr | undefined {
  const [given = '', bitText = '', ...rest] = text.split('/')
  const address = parseAddress(given)
  if (!address || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bitText)) return undefined
  const bits = Number(bitText) - (given.includes(':') && address.length === 2 ? 96 : 0)
  return bits >= 0 && bits <= address.length * 16 ? { address, bits } : undefined
}

/** Undefined when the text is no address. An address of the other family is outside. */
export function inCidr(text: string, { address, bits }: Cidr): boolean | undefined {
  const given = parseAddress(text)
  if (!given) return undefined
  if (given.length !== address.length) return false
  return address.every((group, at) => {
    const kept = Math.min(16, Math.max(0, bits - at * 16))
    const mask = (0xffff << (16 - kept)) & 0xffff
    return (group & mask) === (given[at]! & mask)
  })
}
