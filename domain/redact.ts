/**
 * Keeps secrets out of what is stored for good. A keyed digest (`hmac:…`) stands for a value, so that
 * two records still show whether they held the same one.
 */
export type KeyedDigest = (text: string) => string

const secretKey = /pass(word|wd|phrase)|secret|token|credential|authorization|cookie|api[-_]?key|private[-_]?key|access[-_]?key/i

/** Repetitions are bounded, so that no text makes the search slow. */
const secretValues = [
  /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]{0,30}PRIVATE KEY-----|$)/g,
  /\beyJ[\w-]{8,2000}\.[\w-]{8,2000}\.[\w-]*/g, // a JSON web token
  /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi,
  /\b(AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\b(ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs])[-_][\w-]{10,}/g,
  /\baegis_[\w]+_[\w-]{20,}/g, // our own API keys
  /(?<=\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/@]{0,200}:[^\s/@]{1,200}(?=@)/gi, // user:password@ in an address
  /(?<=\b(password|passwd|secret|token|api[-_]?key)["']?\s*[=:]\s*["']?)[^\s"',;&]{3,}/gi,
]

const standsForSecret = /^(hmac:|sha256:|\[redacted\])/

/** Nested deeper than this is cut off: nothing we store needs it. */
const depthLimit = 40

/**
 * A copy of plain data in which strings and numbers below secret-looking keys, and secret-looking
 * parts of other strings, are digests; and which PostgreSQL and RFC 8785 can both hold (no NUL, no
 * lone surrogates). Numbers and flags under other keys pass. Applying it twice changes nothing.
 */
export const redact = (value: unknown, digest: KeyedDigest): unknown => walk(value, digest, false, 0)

function walk(value: unknown, digest: KeyedDigest, secret: boolean, depth: number): unknown {
  if (depth > depthLimit) return '[too deep]'
  if (typeof value === 'string') return secret ? digestOf(value, digest) : redactText(value, digest)
  if (typeof value === 'number') return secret ? digestOf(String(value), digest) : value
  if (Array.isArray(value)) return value.map((item) => walk(item, digest, secret, depth + 1))
  if (typeof value === 'object' && value !== null) return walkObject(value, digest, secret, depth)
  return value
}

function walkObject(value: object, digest: KeyedDigest, secret: boolean, depth: number): object {
  const members = Object.entries(value).map(([key, inner]) => [
    storable(key),
    walk(inner, digest, secret || secretKey.test(key), depth + 1),
  ])
  return Object.fromEntries(members) as object
}

/** The same for one text, such as an error message. */
export const redactText = (text: string, digest: KeyedDigest): string =>
  secretValues.reduce((clean, pattern) => clean.replace(pattern, (found) => digestOf(found, digest)), storable(text))

const digestOf = (text: string, digest: KeyedDigest): string => (standsForSecret.test(text) ? text : digest(storable(text)))

const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD')
