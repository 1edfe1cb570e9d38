import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import { Failure } from '../../domain/failure.ts'
import { entryLimitBytes, type LedgerActor, type LedgerEntry, type LedgerSubject } from '../../domain/ledger.ts'
import { redact } from '../../domain/redact.ts'
import type { Principal } from '../../domain/remediation.ts'
import { isUuidV7, uuidTimeMs } from '../../domain/uuid.ts'
import { guarded } from './failures.ts'
import { first, rows } from './sql.ts'

/**
 * `stream`: a remediation's id, or a subject that goes on for ever (`freeze`, `keys`, `api`, …).
 * `stepKey` is unique in a remediation's stream: the same key and content again is the same entry.
 */
export type NewEntry = {
  stream: string
  stepKey: string
  kind: string
  actor: LedgerActor
  body: Record<string, unknown>
  /** A remediation's stream takes it from its first entry; elsewhere it belongs to the entry. */
  about?: LedgerSubject | null
}

export type Appended = { eventId: string; seq: number; hash: string; known: boolean }
export type StoredEntry = LedgerEntry & { eventId: string; text: string }

/** What Aegis does by itself. */
export const systemActor: LedgerActor = { id: 'aegis', kind: 'system', owner: 'aegis' }
export const actorOf = ({ id, kind, owner }: Principal): LedgerActor => ({ id, kind, owner })

/** Room for the members that the database adds. */
const contentLimitBytes = entryLimitBytes - 1_024

/**
 * The call that appends, to be placed in any statement (`appendSql`), with its parameters. Content is
 * redacted here once more, so that no caller can forget it. `prefix` tells two calls of one statement apart.
 */
export function appendParameters({ stream, stepKey, kind, actor, body, about }: NewEntry, prefix = 'l'): Record<string, string | null> {
  const texts = { actor: contentText(actor), body: contentText(body), about: about ? contentText(about) : null }
  const bytes = Buffer.byteLength(texts.body) + Buffer.byteLength(texts.actor) + Buffer.byteLength(texts.about ?? '')
  if (bytes > contentLimitBytes) {
    throw new Failure('invalid', 'entry_too_large', `the ledger entry \`${stepKey}\` holds ${bytes} bytes of at most ${contentLimitBytes}: shorten it`)
  }
  const parameters = { stream, key: stepKey, kind, ...texts }
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [`${prefix}_${name}`, value]))
}

/** `stream`: for a call that has to come after something else, an expression that needs it. */
export const appendCall = (prefix: string, stream = `:${prefix}_stream::text`): string =>
  `ledger.append(${stream}, ${['key', 'kind', 'about', 'actor', 'body'].map((name) => `:${prefix}_${name}::text`).join(', ')})`

export const appendSql = appendCall('l')

const contentText = (content: object): string => canonicalJson(redact(content, () => '[redacted]'))

type AppendedRow = { event_id: string; seq: number; hash: string; known: boolean }

/**
 * Chains one entry to its stream, in the caller's transaction if `db` is one. Throws
 * `Failure('conflict', 'ledger_conflict')` when the stream holds the key with other content.
 */
export const appendEntry = guarded(async (db: Knex, entry: NewEntry): Promise<Appended> => {
  const row = await first<AppendedRow>(db, `select * from ${appendSql}`, appendParameters(entry))
  if (!row) throw new Error('ledger.append returned no row')
  return { eventId: row.event_id, seq: row.seq, hash: row.hash, known: row.known }
})

const streamLimit = 10_000

/** One stream from its first entry on, at most 10,000 of them. */
export const readStream = guarded(async (db: Knex, stream: string): Promise<StoredEntry[]> => {
  const found = await rows<{ event_id: string; entry: string }>(
    db,
    `select event_id, entry from ledger.audit_event where stream = :stream ${withinItsMonth(stream)} order by seq limit ${streamLimit}`,
    { stream, ms: uuidTimeMs(stream) ?? null },
  )
  return found.map(({ event_id: eventId, entry: text }) => ({ ...(JSON.parse(text) as LedgerEntry), eventId, text }))
})

/** All entries of a remediation begin with its start, so they lie in one partition; use with `:ms`. */
export const withinItsMonth = (stream: string): string =>
  isUuidV7(stream) ? 'and event_id >= ledger.uuid_floor(:ms::bigint) and event_id < ledger.uuid_floor(:ms::bigint + 1)' : ''
