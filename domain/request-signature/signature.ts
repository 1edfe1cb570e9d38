/**
 * How a caller signs a request (RFC 9421, HMAC-SHA256 or Ed25519, docs/signing.md): a fixed list of what is covered,
 * a fixed list of parameters, one signature. Nothing may be missing, nothing may be there twice, nothing is optional.
 */
import { readContentDigest, readSignature, readSignatureInput, type SignatureInput } from './fields.ts'

export const signatureTag = 'aegis-action-v1'
export const signatureAlgorithms = ['hmac-sha256', 'ed25519'] as const
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number]

/** In this order; `idempotency-key` follows where that header is sent. */
export const coveredComponents = ['@method', '@path', '@query', 'content-digest', 'aegis-audience'] as const
const signatureParameters = ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'] as const

/** From `created` to `expires` at most. */
export const signatureLifeS = 300
/** How far `created` may lie ahead of the database's clock. */
export const skewS = 300

export type SignatureRefusal =
  | 'signature_incomplete' // one of the two headers is missing
  | 'signature_empty'
  | 'signature_ambiguous' // several headers, several labels, or two that differ
  | 'signature_malformed'
  | 'signature_encoding' // the value is not base64 in its one spelling
  | 'signature_length'
  | 'signature_coverage'
  | 'signature_parameters'
  | 'signature_algorithm'
  | 'signature_tag'
  | 'signature_nonce'
  | 'signature_lifetime'
  | 'signature_key_unknown'
  | 'signature_key_pending'
  | 'signature_key_retired'
  | 'signature_key_revoked'
  | 'signature_invalid'
  | 'signature_audience'
  | 'signature_not_yet_valid'
  | 'signature_expired'
  | 'digest_missing'
  | 'digest_malformed'
  | 'digest_mismatch'

/** A request as it came over the wire. `target` is the path with its query, not decoded; `header` gives every line of that name. */
export type ReceivedMessage = { method: string; target: string; header: (name: string) => readonly string[] }

/** A signature that reads as one. Nothing in it is proven yet. Times are epoch seconds. */
export type ClaimedSignature = {
  keyId: string
  algorithm: SignatureAlgorithm
  createdS: number
  expiresS: number
  nonce: string
  audience: string
  /** SHA-256 of the body, base64. */
  digest: string
  /** What was signed. */
  base: string
  /** Base64, of the length its algorithm has. */
  signature: string
}

export const callerKeyStates = ['pending', 'active', 'retiring', 'revoked'] as const
export type CallerKeyState = (typeof callerKeyStates)[number]

/** What has to be known of a key to judge a signature. Times are epoch milliseconds. */
export type JudgedKey = { algorithm: SignatureAlgorithm; state: CallerKeyState; retiresAtMs: number | null; audiences: readonly string[] }

const keyIdForm = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/
/** 128 bits as base64url, in their one spelling. */
const nonceForm = /^[A-Za-z0-9_-]{21}[AQgw]$/
const signatureForm: Record<SignatureAlgorithm, { length: number; form: RegExp }> = {
  'hmac-sha256': { length: 44, form: /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/ },
  ed25519: { length: 88, form: /^[A-Za-z0-9+/]{85}[AQgw]==$/ },
}

/** Reads what is claimed, or says why it cannot be a signature of this profile. Asks nothing of the key or the clock. */
export function claimedSignature(message: ReceivedMessage): ClaimedSignature | SignatureRefusal {
  const [inputs, signatures] = [message.header('signature-input'), message.header('signature')]
  if (inputs.length > 1 || signatures.length > 1) return 'signature_ambiguous'
  const [inputText, signatureText] = [inputs[0], signatures[0]]
  if (inputText === undefined || signatureText === undefined) return 'signature_incomplete'
  if (inputText === '' || signatureText === '') return 'signature_empty'
  const input = readSignatureInput(inputText)
  if (typeof input === 'string') return input === 'several' ? 'signature_ambiguous' : 'signature_malformed'
  const parameters = readParameters(input)
  if (typeof parameters === 'string') return parameters
  const signature = readValue(signatureText, input.label, parameters.algorithm)
  if ('refused' in signature) return signature.refused
  const covered = readCovered(message, input)
  return typeof covered === 'string' ? covered : { ...parameters, ...covered, signature: signature.base64 }
}

/** Whose key a call names, for the record of a refusal: read loosely, and worth nothing else. */
export const claimedKeyId = ({ header }: Pick<ReceivedMessage, 'header'>): string | null =>
  /;keyid="([\x21\x23-\x5b\x5d-\x7e]{1,64})"/.exec((header('signature-input')[0] ?? '').slice(0, 1_024))?.[1] ?? null

type Parameters = Pick<ClaimedSignature, 'keyId' | 'algorithm' | 'createdS' | 'expiresS' | 'nonce'>

function readParameters({ parameters }: SignatureInput): Parameters | SignatureRefusal {
  const known = signatureParameters.every((name) => parameters.has(name)) && parameters.size === signatureParameters.length
  const [created, expires, nonce, keyId, algorithm, tag] = signatureParameters.map((name) => parameters.get(name))
  if (!known || typeof created !== 'number' || typeof expires !== 'number' || typeof keyId !== 'string' || !keyIdForm.test(keyId)) return 'signature_parameters'
  if (algorithm !== 'hmac-sha256' && algorithm !== 'ed25519') return 'signature_algorithm'
  if (tag !== signatureTag) return 'signature_tag'
  if (typeof nonce !== 'string' || !nonceForm.test(nonce)) return 'signature_nonce'
  if (expires <= created || expires - created > signatureLifeS) return 'signature_lifetime'
  return { keyId, algorithm, createdS: created, expiresS: expires, nonce }
}

function readValue(text: string, label: string, algorithm: SignatureAlgorithm): { base64: string } | { refused: SignatureRefusal } {
  const value = readSignature(text)
  if (typeof value === 'string') return { refused: value === 'several' ? 'signature_ambiguous' : 'signature_encoding' }
  if (value.label !== label) return { refused: 'signature_ambiguous' }
  const { length, form } = signatureForm[algorithm]
  if (value.base64 === '') return { refused: 'signature_empty' }
  if (value.base64.length !== length) return { refused: 'signature_length' }
  return form.test(value.base64) ? { base64: value.base64 } : { refused: 'signature_encoding' }
}

function readCovered(message: ReceivedMessage, input: SignatureInput): Pick<ClaimedSignature, 'digest' | 'audience' | 'base'> | SignatureRefusal {
  const idempotencyKeys = message.header('idempotency-key')
  const due: string[] = [...coveredComponents, ...(idempotencyKeys.length === 0 ? [] : ['idempotency-key'])]
  if (input.components.length !== due.length || input.components.some((name, at) => name !== due[at])) return 'signature_coverage'
  const [digests, audiences] = [message.header('content-digest'), message.header('aegis-audience')]
  if (digests.length === 0) return 'digest_missing'
  if (digests.length > 1 || audiences.length > 1 || idempotencyKeys.length > 1) return 'signature_ambiguous'
  const [digestField = '', audience] = [digests[0], audiences[0]]
  const digest = readContentDigest(digestField)
  if (digest === undefined) return 'digest_malformed'
  if (audience === undefined || audience === '') return 'signature_audience'
  const values = { ...targetParts(message), 'content-digest': digestField, 'aegis-audience': audience, 'idempotency-key': idempotencyKeys[0] ?? '' }
  return { digest, audience, base: signatureBase(values, input) }
}

type Covered = Record<(typeof coveredComponents)[number] | 'idempotency-key', string>

function targetParts({ method, target }: ReceivedMessage): Pick<Covered, '@method' | '@path' | '@query'> {
  const mark = target.indexOf('?')
  const [path, query] = mark === -1 ? [target, '?'] : [target.slice(0, mark), target.slice(mark)]
  return { '@method': method, '@path': path, '@query': query }
}

/** RFC 9421 section 2.5. A header's value holds no line break, so no value can pass for another line. */
const signatureBase = (values: Covered, { components, text }: Pick<SignatureInput, 'components' | 'text'>): string =>
  [...components.map((name) => `"${name}": ${values[name as keyof Covered]}`), `"@signature-params": ${text}`].join('\n')

/**
 * Judges a claim by its key. `verify` says whether the signature is the key's over `base`; it is asked before anything
 * is said about audience and time, and `nowMs` is the database's clock, never the process's.
 */
export function judgeSignature(claimed: ClaimedSignature, key: JudgedKey | undefined, at: { audience: string; nowMs: number }, verify: () => boolean): SignatureRefusal | undefined {
  if (!key) return 'signature_key_unknown'
  const unusable = unusableKey(key, at.nowMs)
  if (unusable) return unusable
  // The key says which algorithm is its own: a public key must never be taken for a secret.
  if (claimed.algorithm !== key.algorithm) return 'signature_algorithm'
  if (!verify()) return 'signature_invalid'
  if (claimed.audience !== at.audience || !key.audiences.includes(at.audience)) return 'signature_audience'
  if (claimed.createdS * 1_000 > at.nowMs + skewS * 1_000) return 'signature_not_yet_valid'
  return claimed.expiresS * 1_000 <= at.nowMs ? 'signature_expired' : undefined
}

function unusableKey({ state, retiresAtMs }: JudgedKey, nowMs: number): SignatureRefusal | undefined {
  if (state === 'revoked') return 'signature_key_revoked'
  if (state === 'pending') return 'signature_key_pending'
  return state === 'retiring' && (retiresAtMs === null || retiresAtMs <= nowMs) ? 'signature_key_retired' : undefined
}
