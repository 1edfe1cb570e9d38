import { pino, type DestinationStream, type Logger } from 'pino'

export type { Logger }

type LogSettings = { name: string; level: string; destination?: DestinationStream }

/** Fields that hold a secret wherever they appear. Bodies and headers are not logged at all. */
const secretFields = ['authorization', 'password', 'secret', 'token', 'apiKey', 'key', 'signature', 'DATABASE_URL', 'databaseUrl']
const secretPaths = secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`])

/**
 * JSON lines on standard output. Errors are logged as kind, code and message; the text of a line is
 * scrubbed as a last defence, because a driver's error message may carry a connection string.
 */
export function createLogger({ name, level, destination }: LogSettings): Logger {
  const settings = {
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    base: { name },
    redact: { paths: secretPaths, censor: '[redacted]' },
    serializers: { err: describeError },
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite: scrub },
  }
  return destination ? pino(settings, destination) : pino(settings)
}

/**
 * For lines whose fields are all named by us and hold no objects: looking into each for a secret costs more than writing
 * it. Their text is scrubbed like any other.
 */
export const plainLines = (log: Logger): Logger => log.child({}, { redact: [] })

/** Takes credentials out of any text: passwords in URLs, API keys and other tokens of ours, access tokens. */
export const scrub = (text: string): string =>
  text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):[^\s@"]+@/gi, '$1:[redacted]@')
    .replace(/aegis_([a-z0-9]{4,16})_[A-Za-z0-9_-]{20,}/g, 'aegis_$1_[redacted]')
    .replace(/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, '[redacted]')
    .replace(/\bBearer\s+[A-Za-z0-9._~+/-]+=*/gi, 'Bearer [redacted]')

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  const { kind, code } = error as { kind?: unknown; code?: unknown }
  const cause = causesOf(error).join(': ') || undefined
  return { name, kind, code, message, cause, ...(kind === undefined ? { stack } : {}) }
}

const mostCauses = 4

/** Libraries wrap what went wrong: the reason is at the bottom. */
function causesOf({ cause }: Error, depth = 0): string[] {
  return cause instanceof Error && depth < mostCauses ? [cause.message, ...causesOf(cause, depth + 1)] : []
}
