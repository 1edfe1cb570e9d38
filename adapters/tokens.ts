/** Access tokens: signed by the API, checked by the API, good for minutes. What somebody may do is not in them. */
import { randomUUID, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { decodeProtectedHeader, errors, exportJWK, jwtVerify, SignJWT, type JWK, type ProtectedHeaderParameters } from 'jose'
import { z } from 'zod'
import { keyIdOf, publicKeysIn, readKeyFile } from './signing.ts'
import { verifiedTokens, type VerifiedTokens } from './verified-tokens.ts'

/** `authTimeMs`: when the person last proved who they are. Epoch milliseconds. */
export type AccessClaims = { userId: string; sessionId: string; authTimeMs: number }

export type TokenRefusal =
  | 'token_malformed'
  | 'token_algorithm'
  | 'token_header'
  | 'token_type'
  | 'token_key_unknown'
  | 'token_signature'
  | 'token_expired'
  | 'token_not_yet'
  | 'token_issuer'
  | 'token_audience'
  | 'token_claims'

/** `userId`: whose it is, where the signature is good and only what it says is not. */
export type CheckedToken = { claims: AccessClaims; refused?: undefined } | { refused: TokenRefusal; userId: string | null }

export type Tokens = {
  issue(claims: AccessClaims): Promise<{ token: string; expiresInS: number }>
  check(token: string): Promise<CheckedToken>
  /** Public keys in use, as JWKs. */
  jwks(): Promise<JWK[]>
}

export type TokenOptions = {
  /** Ed25519, PKCS#8 PEM. */
  privateKeyFile: string
  /** PEM blocks: during a rotation both the old and the new one. Without the public half of the private key nothing is taken over. */
  publicKeysFile: string
  /** The address of this Aegis, which no other one answers to. */
  issuer: string
  /** A change of the files that cannot be used: the keys of before stay. */
  onError?: (failure: unknown) => void
}

export const accessLifeS = 15 * 60
export const audience = 'aegis-api'
const algorithm = 'EdDSA'
const tokenType = 'at+jwt'
/** Far above any that we issue. */
const longestToken = 2_048
/** For how much our own clocks may differ. */
const clockToleranceS = 5
/** How soon a changed key file is seen. */
const rereadMs = 2_000

/** `verified`: under these very keys. Other keys begin with none. */
type Keys = { keyId: string; secret: KeyObject; open: Map<string, KeyObject>; texts: string; verified: VerifiedTokens<AccessClaims> }

/** Reads the keys, throws where they make no sense, and takes changes of the files over while it is used. */
export function accessTokens({ issuer, onError = () => undefined, ...files }: TokenOptions): Tokens {
  let keys = readKeys(files)
  let readAt = performance.now()
  const current = (): Keys => {
    if (performance.now() - readAt < rereadMs) return keys
    readAt = performance.now()
    try {
      keys = readKeys(files, keys)
    } catch (failure) {
      onError(failure)
    }
    return keys
  }
  return {
    issue: async ({ userId, sessionId, authTimeMs }) => {
      const { keyId, secret } = current()
      const token = await new SignJWT({ sid: sessionId, auth_time: Math.floor(authTimeMs / 1000) })
        .setProtectedHeader({ alg: algorithm, typ: tokenType, kid: keyId })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setJti(randomUUID())
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime(`${accessLifeS}s`)
        .sign(secret)
      return { token, expiresInS: accessLifeS }
    },
    check: (token) => check(token, current(), issuer),
    jwks: async () => Promise.all([...current().open].map(async ([kid, key]) => ({ ...(await exportJWK(key)), kid, alg: algorithm, use: 'sig' }))),
  }
}

function readKeys({ privateKeyFile, publicKeysFile }: Pick<TokenOptions, 'privateKeyFile' | 'publicKeysFile'>, before?: Keys): Keys {
  const secretText = readKeyFile(privateKeyFile, 'AEGIS_TOKEN_KEY_FILE')
  const openText = readKeyFile(publicKeysFile, 'AEGIS_TOKEN_PUBLIC_KEYS_FILE')
  const texts = `${secretText}\n${openText}`
  if (texts === before?.texts) return before
  const secret = createPrivateKey(secretText)
  if (secret.asymmetricKeyType !== 'ed25519') throw new Error(`\`${privateKeyFile}\` holds no Ed25519 key: make one with \`openssl genpkey -algorithm ed25519\``)
  const open = publicKeysIn(openText)
  const keyId = keyIdOf(createPublicKey(secret))
  if (!open.has(keyId)) throw new Error(`\`${publicKeysFile}\` lacks the public half of the key in \`${privateKeyFile}\`: write it there first`)
  return { keyId, secret, open, texts, verified: verifiedTokens() }
}

const claimsForm = z.object({ sub: z.uuid(), sid: z.uuid(), auth_time: z.int().min(0), jti: z.string().min(1), iat: z.int(), nbf: z.int(), exp: z.int() })

const refused = (code: TokenRefusal, userId: string | null = null): CheckedToken => ({ refused: code, userId })

async function check(token: string, { open, verified }: Keys, issuer: string): Promise<CheckedToken> {
  if (token.length > longestToken) return refused('token_malformed')
  const known = verified.find(token, Math.floor(Date.now() / 1000))
  if (known) return { claims: known }
  const header = headerOf(token)
  const fault = header ? headerFault(header) : 'token_malformed'
  if (fault) return refused(fault)
  const key = open.get(header?.kid ?? '')
  if (!key) return refused('token_key_unknown')
  try {
    const options = { algorithms: [algorithm], typ: tokenType, issuer, audience, clockTolerance: clockToleranceS, maxTokenAge: accessLifeS }
    const { payload } = await jwtVerify(token, key, options)
    const { success, data } = claimsForm.safeParse(payload)
    if (!success) return refused('token_claims', textOf(payload.sub))
    const claims = { userId: data.sub, sessionId: data.sid, authTimeMs: data.auth_time * 1000 }
    // No tolerance of clocks here: at its edges a token is checked anew.
    verified.keep(token, { claims, fromS: Math.max(data.nbf, data.iat), untilS: Math.min(data.exp, data.iat + accessLifeS) })
    return { claims }
  } catch (failure) {
    return refusalOf(failure)
  }
}

function headerOf(token: string): ProtectedHeaderParameters | undefined {
  if (token.split('.').length !== 3) return undefined
  try {
    return decodeProtectedHeader(token)
  } catch {
    return undefined
  }
}

/** Nothing in a token chooses its key but an id that we know; nothing in it chooses how it is checked. */
function headerFault(header: ProtectedHeaderParameters): TokenRefusal | undefined {
  if (header.alg !== algorithm) return 'token_algorithm'
  if (Object.keys(header).some((name) => !['alg', 'typ', 'kid'].includes(name))) return 'token_header'
  if (header.typ !== tokenType) return 'token_type'
  return typeof header.kid === 'string' && /^[0-9a-f]{16}$/.test(header.kid) ? undefined : 'token_key_unknown'
}

const byClaim: Record<string, TokenRefusal> = { iss: 'token_issuer', aud: 'token_audience', nbf: 'token_not_yet', typ: 'token_type' }

/** Claims are looked at only once the signature is good. */
function refusalOf(failure: unknown): CheckedToken {
  if (failure instanceof errors.JWTExpired) return refused('token_expired', textOf(failure.payload.sub))
  if (failure instanceof errors.JWTClaimValidationFailed) return refused(byClaim[failure.claim] ?? 'token_claims', textOf(failure.payload.sub))
  if (failure instanceof errors.JWSSignatureVerificationFailed) return refused('token_signature')
  if (failure instanceof errors.JOSEError) return refused('token_malformed')
  throw failure
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)
