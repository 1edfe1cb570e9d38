import { inCidr, parseCidr } from './cidr.ts'

test.each([
  ['10.1.2.3', '10.0.0.0/8', true],
  ['11.1.2.3', '10.0.0.0/8', false],
  ['192.168.1.130', '192.168.1.128/25', true],
  ['192.168.1.127', '192.168.1.128/25', false],
  ['1.2.3.4', '0.0.0.0/0', true],
  ['::ffff:10.1.2.3', '10.0.0.0/8', true],
  ['2001:db8::1', '2001:db8::/32', true],
  ['2001:db9::1', '2001:db8::/32', false],
  ['2001:db8::1', '10.0.0.0/8', false],
  ['fe80::1', 'fe80::1/128', true],
  ['10.1.2', '10.0.0.0/8', undefined],
  ['10.1.2.256', '10.0.0.0/8', undefined],
  ['010.1.2.3', '10.0.0.0/8', undefined],
  ['::1::2', '::/0', undefined],
  ['', '::/0', undefined],
])('%s in %s: %s', (address, network, expected) => expect(inCidr(address, parseCidr(network)!)).toBe(expected))

test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8', '2001:db8::/129', '::ffff:10.0.0.0/95', 'a/8', '/8'])(
  '`%s` is no network',
  (text) => expect(parseCidr(text)).toBeUndefined(),
)
