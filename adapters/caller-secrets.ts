import { createCipheriv, createDecipheriv, createHash, createHmac, createPublicKey, randomBytes, timingSafeEqual, verify, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Failure } from '../domain/failure.ts'

/** A caller's secret holds 256 bits and is shown once, as `aegis_caller_<base64url>`. */
export const secretBytes = 32
const nonceBytes = 12
const tagBytes = 16

/** Encrypted for one key id: a box moved to another row does not open. */
export type SealedSecret = { box: Buffer; sealedBy: string }

export type CallerSecrets = {
  /** A fresh secret, to be shown once. */
  fresh(): Buffer
  seal(keyId: string, secret: Buffer): SealedSecret
  /** Throws `Failure('unavailable', 'caller_secret_sealed')` where this process lacks the sealing key, or the box was tampered with. */
  open(keyId: string, sealed: SealedSecret): Buffer
}

/**
 * AES-256-GCM under the first key of the file; every key of it opens what it has sealed, so during a rotation the old
 * one stays below the new one. `variable` names the setting, for errors.
 */
export function callerSecretsOf(file: string, variable: string): CallerSecrets {
  const keys = readSealingKeys(file, variable)
  const [newest] = keys
  if (!newest) throw new Error(`\`${file}\` holds no key: set ${variable} to a file of lines of 64 hex digits, the newest first`)
  return {
    fresh: () => randomBytes(secretBytes),
    seal(keyId, secret) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', newest.key, nonce)
      cipher.setAAD(boundTo(keyId))
      const sealed = Buffer.concat([cipher.update(secret), cipher.final()])
      return { box: Buffer.concat([nonce, sealed, cipher.getAuthTag()]), sealedBy: newest.id }
    },
    open(keyId, { box, sealedBy }) {
      const sealing = keys.find(({ id }) => id === sealedBy)
      if (!sealing) throw cannotOpen()
      try {
        const decipher = createDecipheriv('aes-256-gcm', sealing.key, box.subarray(0, nonceBytes), { authTagLength: tagBytes })
        decipher.setAAD(boundTo(keyId))
        decipher.setAuthTag(box.subarray(-tagBytes))
        return Buffer.concat([decipher.update(box.subarray(nonceBytes, -tagBytes)), decipher.final()])
      } catch {
        throw cannotOpen()
      }
    },
  }
}

const boundTo = (keyId: string): Buffer => Buffer.from(`aegis-caller-key-v1\n${keyId}`, 'utf8')

const cannotOpen = () => new Failure('unavailable', 'caller_secret_sealed', 'the secret of this caller key cannot be opened: check AEGIS_CALLER_KEYS_FILE')

function readSealingKeys(file: string, variable: string): { id: string; key: Buffer }[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`cannot read the key file \`${file}\`: set ${variable} to a readable file of lines of 64 hex digits`, { cause })
  }
  const lines = text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  return lines.map((line, at) => {
    if (!/^[0-9a-f]{64}$/.test(line)) throw new Error(`line ${at + 1} of \`${file}\` is not 64 hex digits: make one with \`openssl rand -hex 32\``)
    const key = Buffer.from(line, 'hex')
    return { id: createHash('sha256').update('aegis-caller-keys\n').update(key).digest('hex').slice(0, 16), key }
  })
}

/** Whether `signature`, base64, is the HMAC-SHA256 of `base`. In constant time; of another length it is not. */
export function verifyHmac(secret: Buffer, base: string, signature: string): boolean {
  const given = Buffer.from(signature, 'base64')
  const due = createHmac('sha256', secret).update(base, 'utf8').digest()
  return given.length === due.length && timingSafeEqual(given, due)
}

/** Whether `signature`, base64, is an Ed25519 signature over `base`. `publicKey` is SPKI, DER. */
export const verifyEd25519 = (publicKey: Buffer, base: string, signature: string): boolean =>
  verify(null, Buffer.from(base, 'utf8'), createPublicKey({ key: publicKey, format: 'der', type: 'spki' }), Buffer.from(signature, 'base64'))

/** The DER of an Ed25519 public key in PEM, or undefined for anything else. */
export function ed25519PublicKey(pem: string): Buffer | undefined {
  let key: KeyObject
  try {
    // A private key would be read as well, and its public half taken from it: nobody should send one.
    if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) return undefined
    key = createPublicKey(pem)
  } catch {
    return undefined
  }
  return key.asymmetricKeyType === 'ed25519' ? key.export({ type: 'spki', format: 'der' }) : undefined
}

/** Whether `bytes` have the SHA-256 `digest`, base64. */
export function hasDigest(bytes: Buffer, digest: string): boolean {
  const given = Buffer.from(digest, 'base64')
  const due = createHash('sha256').update(bytes).digest()
  return given.length === due.length && timingSafeEqual(given, due)
}
