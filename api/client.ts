/** What a request shows of where it comes from. None of it is proof of who sent it. */
import type { Request } from 'express'

export type ClientFacts = {
  /** An IPv4 address, or the /64 of an IPv6 one: what one customer of a provider has. */
  network: string
  userAgent: string
  cookies: Readonly<Record<string, string>>
  origin: string | null
  fetchSite: string | null
  /** Whether the header is there that no form and no image can send. */
  marked: boolean
}

export const csrfHeader = 'x-aegis-csrf'

const longestUserAgent = 200
const mostCookies = 50

export const clientFacts = (req: Request): ClientFacts => ({
  network: networkOf(req.ip ?? ''),
  userAgent: (req.get('user-agent') ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, longestUserAgent),
  cookies: cookiesOf(req.get('cookie') ?? ''),
  origin: req.get('origin') ?? null,
  fetchSite: req.get('sec-fetch-site') ?? null,
  marked: req.get(csrfHeader) !== undefined,
})

/** An IPv6 host has a whole /64 to call from. */
export function networkOf(address: string): string {
  const plain = address.replace(/%.*$/, '').toLowerCase()
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1]
  if (mapped !== undefined || !plain.includes(':')) return mapped ?? plain
  const [head = '', tail] = plain.split('::', 2)
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const whole = tail === undefined ? first : [...first, ...Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0'), ...last]
  return `${whole.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}

/** Two cookies of one name are none: nobody can tell which of them is ours. */
function cookiesOf(header: string): Record<string, string> {
  const pairs = header.split(';').slice(0, mostCookies).map((part) => part.trim().split('=', 2) as [string, string?])
  const once = pairs.filter(([name]) => pairs.filter(([other]) => other === name).length === 1)
  return Object.fromEntries(once.map(([name, value = '']) => [name, value]))
}
