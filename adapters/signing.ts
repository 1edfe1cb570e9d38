import { createHash, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, hash, randomBytes, randomFillSync, sign, verify, type KeyObject } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { uuidv7 as uuidv7From } from '../domain/uuid.ts'
import type { VerifySignature } from '../domain/warrant.ts'

export const sha256Hex = (text: string): string => hash('sha256', text, 'hex')

const bytesOfId = 10
/** Drawn for many ids at a time: a draw costs more than everything else about an id. */
const drawn = new Uint8Array(bytesOfId * 100)
let drawnFrom = drawn.length

/** A fresh, time-ordered id. */
export function freshId(): string {
  if (drawnFrom === drawn.length) {
    randomFillSync(drawn)
    drawnFrom = 0
  }
  drawnFrom += bytesOfId
  return uuidv7From(Date.now(), drawn.subarray(drawnFrom - bytesOfId, drawnFrom))
}

export const freshNonce = (): string => randomBytes(16).toString('base64url')

/** The same secret gives the same short digest, and nobody without the key can guess it back. */
export function keyedDigest(key: Buffer): (text: string) => string {
  return (text) => `hmac:${createHmac('sha256', key).update(text, 'utf8').digest('hex').slice(0, 16)}`
}

export type Signer = { keyId: string; sign(text: string): string }

/** Ed25519 from a PKCS#8 PEM file, which `variable` names: warrants are signed by the decision side alone, policies by the API. */
export function signerOf(privateKeyFile: string, variable: string): Signer {
  const key = createPrivateKey(readKeyFile(privateKeyFile, variable))
  return { keyId: keyIdOf(createPublicKey(key)), sign: (text) => sign(null, Buffer.from(text, 'utf8'), key).toString('base64') }
}

/** Public keys from a file of one or more PEM blocks: during a rotation both the old and the new one. */
export function verifierOf(publicKeysFile: string, variable: string): VerifySignature {
  const keys = publicKeysIn(readKeyFile(publicKeysFile, variable))
  return (keyId, signedText, signature) => {
    const key = keys.get(keyId)
    return key && verify(null, Buffer.from(signedText, 'utf8'), key, Buffer.from(signature, 'base64'))
  }
}

/** By key id; none for a text without PEM blocks of public keys. */
export function publicKeysIn(text: string): Map<string, KeyObject> {
  const blocks = text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []
  return new Map(blocks.map((block) => createPublicKey(block)).map((key) => [keyIdOf(key), key]))
}

/** Writes a new pair, the private half readable by its owner alone. */
export function createKeys(privateKeyFile: string, publicKeysFile: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  writeFileSync(privateKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(publicKeysFile, publicKey.export({ type: 'spki', format: 'pem' }))
}

export const keyIdOf = (key: KeyObject): string =>
  createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16)

export function readKeyFile(path: string, variable: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Error(`cannot read the key file \`${path}\`: set ${variable} to a readable PEM file`, { cause })
  }
}
