import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { callerSecretsOf, ed25519PublicKey, hasDigest, verifyHmac } from './caller-secrets.ts'

const [older, newer] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
let directory: string
const secretsOf = (...lines: string[]) => {
  const file = join(directory, 'caller-keys')
  writeFileSync(file, lines.join('\n'))
  return callerSecretsOf(file, 'AEGIS_CALLER_KEYS_FILE')
}
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'aegis-seal-'))))
afterAll(() => rmSync(directory, { recursive: true }))

describe('a sealed secret', () => {
  const keyId = '01890a5d-ac96-774b-bcce-b302099a8057'

  test('opens for its key id, and for no other', () => {
    const secrets = secretsOf(newer)
    const secret = secrets.fresh()
    const sealed = secrets.seal(keyId, secret)
    expect(secret).toHaveLength(32)
    expect(secrets.open(keyId, sealed).equals(secret)).toBe(true)
    expect(sealed.box.includes(secret)).toBe(false)
    expect(() => secrets.open('01890a5d-ac96-774b-bcce-b302099a8058', sealed)).toThrow('cannot be opened')
  })

  test('is worth nothing with any bit changed', () => {
    const secrets = secretsOf(newer)
    const sealed = secrets.seal(keyId, secrets.fresh())
    for (let at = 0; at < sealed.box.length; at++) {
      const box = Buffer.from(sealed.box)
      box[at] = (box[at] ?? 0) ^ 1
      expect(() => secrets.open(keyId, { ...sealed, box })).toThrow('cannot be opened')
    }
    expect(() => secrets.open(keyId, { ...sealed, box: Buffer.alloc(0) })).toThrow('cannot be opened')
  })

  test('opens as long as the key that sealed it stands in the file, and new ones are sealed by the first', () => {
    const before = secretsOf(older)
    const secret = before.fresh()
    const sealed = before.seal(keyId, secret)
    const during = secretsOf(newer, older)
    expect(during.open(keyId, sealed).equals(secret)).toBe(true)
    expect(during.seal(keyId, secret).sealedBy).toBe(secretsOf(newer).seal(keyId, secret).sealedBy)
    expect(() => secretsOf(newer).open(keyId, sealed)).toThrow('check AEGIS_CALLER_KEYS_FILE')
  })

  test('a key file that is none is told by its line, and not by its content', () => {
    expect(() => secretsOf(newer, 'not hex')).toThrow(/^line 2 of .* is not 64 hex digits/)
    expect(() => secretsOf('')).toThrow('holds no key')
    expect(() => callerSecretsOf(join(directory, 'nowhere'), 'AEGIS_CALLER_KEYS_FILE')).toThrow('set AEGIS_CALLER_KEYS_FILE')
  })
})

test('a signature of another length is not one, and does not throw', () => {
  const secret = randomBytes(32)
  const due = createHmac('sha256', secret).update('base').digest()
  expect(verifyHmac(secret, 'base', due.toString('base64'))).toBe(true)
  for (const length of [0, 1, 16, 31, 33, 64]) expect(verifyHmac(secret, 'base', Buffer.concat([due, due]).subarray(0, length).toString('base64'))).toBe(false)
  expect(hasDigest(Buffer.from('x'), '')).toBe(false)
})

test('only an Ed25519 public key is taken for one', () => {
  const pair = generateKeyPairSync('ed25519')
  expect(ed25519PublicKey(String(pair.publicKey.export({ type: 'spki', format: 'pem' })))).toEqual(pair.publicKey.export({ type: 'spki', format: 'der' }))
  expect(ed25519PublicKey(String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })))).toBeUndefined()
  expect(ed25519PublicKey(String(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' })))).toBeUndefined()
  expect(ed25519PublicKey('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n')).toBeUndefined()
})
