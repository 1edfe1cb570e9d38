/**
 * Signs requests for Aegis: one file, nothing but Node. Copy it into a program that calls `/executor/execute` or
 * `/api/v1/remediations` with a caller key; docs/signing.md says what is signed and how to do it in other languages.
 */
import { createHash, createHmac, createPrivateKey, createSecretKey, randomBytes, sign, type KeyObject } from 'node:crypto'

export type CallerKey = { keyId: string; key: KeyObject }

/** `url` is absolute or the path with its query; `body` the very bytes that will be sent. */
export type RequestToSign = { method: string; url: string; body?: string | Uint8Array; idempotencyKey?: string }

export type SignOptions = {
  /** AEGIS_AUDIENCE of the installation that is called. */
  audience: string
  /** Seconds from now on, 1 to 300. */
  lifeS?: number
  /** Only tests and worked examples say these. Epoch seconds; 128 bits as base64url. */
  createdS?: number
  nonce?: string
}

const tag = 'aegis-action-v1'
const mostLifeS = 300

/** The secret that `aegis caller create` showed, or the PEM text of an Ed25519 private key. */
export function callerKey(keyId: string, text: string): CallerKey {
  if (text.includes('PRIVATE KEY')) {
    const key = createPrivateKey(text)
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('the private key is not an Ed25519 key')
    return { keyId, key }
  }
  const secret = /^aegis_caller_([A-Za-z0-9_-]{43})$/.exec(text.trim())?.[1]
  if (secret === undefined) throw new Error('the key is neither a caller secret (aegis_caller_…) nor the PEM text of an Ed25519 private key')
  return { keyId, key: createSecretKey(Buffer.from(secret, 'base64url')) }
}

/** The headers to send along, `Idempotency-Key` included where there is one. Each call makes a fresh nonce. */
export function signRequest(request: RequestToSign, { keyId, key }: CallerKey, options: SignOptions): Record<string, string> {
  const { audience, lifeS = mostLifeS, createdS = Math.floor(Date.now() / 1_000), nonce = randomBytes(16).toString('base64url') } = options
  if (!Number.isInteger(lifeS) || lifeS < 1 || lifeS > mostLifeS) throw new Error(`a signature lives 1 to ${mostLifeS} seconds, not ${lifeS}`)
  const digest = `sha-256=:${createHash('sha256').update(request.body ?? '').digest('base64')}:`
  const covered = coveredBy(request, digest, audience)
  const algorithm = key.type === 'private' ? 'ed25519' : 'hmac-sha256'
  const names = covered.map(([name]) => `"${name}"`).join(' ')
  const parameters = `(${names});created=${createdS};expires=${createdS + lifeS};nonce="${nonce}";keyid="${keyId}";alg="${algorithm}";tag="${tag}"`
  const base = [...covered, ['@signature-params', parameters]].map(([name, value]) => `"${name}": ${value}`).join('\n')
  const signature = key.type === 'private' ? sign(null, Buffer.from(base), key) : createHmac('sha256', key).update(base).digest()
  return {
    'Content-Digest': digest,
    'Aegis-Audience': audience,
    ...(request.idempotencyKey === undefined ? {} : { 'Idempotency-Key': request.idempotencyKey }),
    'Signature-Input': `sig1=${parameters}`,
    Signature: `sig1=:${signature.toString('base64')}:`,
  }
}

function coveredBy({ method, url, idempotencyKey }: RequestToSign, digest: string, audience: string): [string, string][] {
  const { pathname, search } = new URL(url, 'http://aegis.invalid')
  return [
    ['@method', method.toUpperCase()],
    ['@path', pathname],
    ['@query', search === '' ? '?' : search],
    ['content-digest', digest],
    ['aegis-audience', audience],
    ...(idempotencyKey === undefined ? [] : [['idempotency-key', idempotencyKey] as [string, string]]),
  ]
}
