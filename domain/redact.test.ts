import fc from 'fast-check'
import { canonicalJson } from './canonical.ts'
import { redact, redactText } from './redact.ts'

const digest = (text: string) => `hmac:${text.length}`

// Put together here, so that nothing in this file looks like a credential to a scanner.
const planted = [
  ['a web token', ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxIn0', 'c2lnbmF0dXJl'].join('.')],
  ['a bearer header', ['Bearer', 'abcdefgh12345678'].join(' ')],
  ['a password in an address', `postgres://aegis:${'hunter' + '22'}@db/aegis`],
  ['a private key', ['-----BEGIN', 'PRIVATE KEY-----\nMIIE\n-----END', 'PRIVATE KEY-----'].join(' ')],
  ['a cloud key id', 'AKIA' + 'ABCDEFGHIJKLMNOP'],
  ['our own key', 'aegis_ab12cd_' + 'x'.repeat(43)],
  ['a pair', 'password=' + 'correct-horse'],
] as const

test.each(planted)('%s in a message is a digest', (_what, secret) => {
  const clean = redactText(`it failed with ${secret} at the end`, digest)
  expect(clean).toContain('hmac:')
  for (const part of secret.split(/[\s@:/=]|\n/).filter((piece) => piece.length > 12)) expect(clean).not.toContain(part)
})

test('everything below a secret-looking key is a digest, other values pass', () => {
  const given = { image: 'shop:1', replicas: 3, DB_PASSWORD: 'x1', auth: { apiKey: 7, ok: true }, clientSecret: { a: ['y'] }, none: null }
  expect(redact(given, digest)).toEqual({
    image: 'shop:1',
    replicas: 3,
    DB_PASSWORD: 'hmac:2',
    auth: { apiKey: 'hmac:1', ok: true },
    clientSecret: { a: ['hmac:1'] },
    none: null,
  })
})

test('a digest stays as it is, so redacting twice changes nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const once = redact(value, digest)
      expect(redact(once, digest)).toEqual(once)
    }),
  )
})

test('whatever comes out has a canonical form and no NUL', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })), (value) => {
      const text = canonicalJson(redact({ ...value, odd: '\0 \uD800' }, digest))
      expect(text).not.toContain('\\u0000')
    }),
  )
})
