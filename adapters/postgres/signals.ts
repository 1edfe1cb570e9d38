import type { Knex } from 'knex'
import type { IncidentKey, Outcome, Phase, RemediationRequest } from '../../domain/remediation.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import { appendEntry, systemActor } from './ledger.ts'
import { insertRequest, toRequest, type Accepted, type RequestDraft, type RequestRow } from './request-rows.ts'
import { first, inTransaction, rows } from './sql.ts'

/** An alert or a finding. `labelsDigest` shows whether its labels changed since it was first seen. */
export type Signal = IncidentKey & { labelsDigest: string }

/** Endings that more time may cure, while the alert fires on. */
const retryableOutcomes: readonly Outcome[] = ['frozen', 'limited', 'blocked', 'unanswered']
/** Of other endings: a cooldown that was not over, a fault that did not show yet or not on this pod, and an alert that had stopped and fires again. */
const retryableReasons = ['obligation_unmet', 'fault_gone', 'pod_ready', 'alert_resolved']

/** 1, 2, 4, … minutes, at most an hour, at most this many tries. */
const attemptLimit = 100
const backoffLimitMs = 60 * 60_000
const backoffMs = (attempt: number): number => Math.min(60_000 * 2 ** (attempt - 1), backoffLimitMs)

/**
 * An alert either starts a run, or joins the one at work on the same target and action, or is known.
 * However many alerts point at one thing, it is one run. One that fires on after its run ended
 * in what more time may cure gets a numbered retry once its backoff is over.
 */
export const acceptSignal = guarded(async (db: Knex, draft: RequestDraft, signal: Signal): Promise<Accepted> => {
  const joined = await first<RequestRow>(db, joinSql, { ...signal, ...draft.target, action: draft.action })
  if (joined) return { accepted: 'known', request: toRequest(joined) }
  return inTransaction(db, async (trx) => {
    const seen = await noteSignal(trx, signal)
    const before = seen ? await runOf(trx, seen) : undefined
    if (before && !retryIsDue(before)) return { accepted: 'known', request: toRequest(before) }
    return joinOrStart(trx, { ...draft, incident: { fingerprint: signal.fingerprint, startsAt: signal.startsAt } }, signal, before)
  })
})

/** One alert of many that came together. */
export type SignalDraft = { draft: Pick<RequestDraft, 'target' | 'action'>; signal: Signal }

/**
 * Counts, in one statement, those that find their run open: in a storm nearly all. In the order given; undefined for
 * one that is left to `acceptSignal`, as is the second of two that are the same alert.
 */
export const joinOpenRuns = guarded(async (db: Knex, signals: readonly SignalDraft[]): Promise<(RemediationRequest | undefined)[]> => {
  const place = new Map<string, number>()
  const asked = signals.flatMap(({ draft: { target, action }, signal }, at) => {
    const key = JSON.stringify([signal.fingerprint, signal.startsAt])
    if (place.has(key)) return []
    place.set(key, at)
    return { at, ...signal, ...target, action }
  })
  if (asked.length === 0) return []
  const found = await rows<RequestRow & { at: number }>(db, joinAllSql, { asked: JSON.stringify(asked) })
  const joined = new Map(found.map(({ at, ...row }) => [at, toRequest(row)]))
  return signals.map((_signal, at) => joined.get(at))
})

// Rows are taken in one order: the same alerts come from two Alertmanagers at once.
const joinAllSql = `
  with asked as materialized (
    select * from jsonb_to_recordset(:asked::jsonb) a(at integer, fingerprint text, "startsAt" text, "labelsDigest" text, cluster text, namespace text, kind text, name text, action text)
  ), open as materialized (
    select a.at, a.fingerprint, a."startsAt" as starts_at, a."labelsDigest" as labels_digest, o.id from asked a, lateral (
      select r.id from ledger.request r
      where r.phase <> 'closed' and ((r.cluster = a.cluster and r.namespace = a.namespace and r.kind = a.kind and r.name = a.name and r.action = a.action)
        or r.fingerprint = a.fingerprint)
      order by r.accepted_at limit 1) o
  ), joined as (
    insert into ledger.signal as s (fingerprint, starts_at, labels_digest, remediation_id)
    select fingerprint, starts_at, labels_digest, id from open order by fingerprint, starts_at
    on conflict (fingerprint, starts_at) do update
      set last_at = now(), seen = s.seen + 1, labels_digest = excluded.labels_digest, resolved_at = null
      where s.remediation_id = excluded.remediation_id
    returning fingerprint, starts_at, remediation_id
  )
  select open.at, r.* from joined j join open using (fingerprint, starts_at) join ledger.request r on r.id = j.remediation_id`

/** The run at work on the same target and action, or on the same alert. */
const openRun = `
  select * from ledger.request
  where phase <> 'closed' and ((cluster = :cluster and namespace = :namespace and kind = :kind and name = :name and action = :action)
    or fingerprint = :fingerprint)
  order by accepted_at limit 1`

// In a storm nearly every alert finds its run open, and is counted by this one statement. One that belongs to another run is left to the rest.
const joinSql = `
  with joined as (
    insert into ledger.signal as s (fingerprint, starts_at, labels_digest, remediation_id)
    select :fingerprint, :startsAt, :labelsDigest, o.id from (${openRun}) o
    on conflict (fingerprint, starts_at) do update
      set last_at = now(), seen = s.seen + 1, labels_digest = excluded.labels_digest, resolved_at = null
      where s.remediation_id = excluded.remediation_id
    returning remediation_id
  )
  select r.* from joined join ledger.request r on r.id = joined.remediation_id`

/** Counts the signal and returns the remediation it belongs to, if any. Holds the signal's row from here on. */
async function noteSignal(trx: Knex, { fingerprint, startsAt, labelsDigest }: Signal): Promise<string | null> {
  const row = await first<{ remediation_id: string | null }>(
    trx,
    `insert into ledger.signal (fingerprint, starts_at, labels_digest) values (:fingerprint, :startsAt, :labelsDigest)
     on conflict (fingerprint, starts_at) do update
       set last_at = now(), seen = ledger.signal.seen + 1, labels_digest = excluded.labels_digest, resolved_at = null
     returning remediation_id`,
    { fingerprint, startsAt, labelsDigest },
  )
  return row?.remediation_id ?? null
}

type RunRow = RequestRow & { outcome: Outcome | null; ended_by: string | null; closed_at: Date | null; now: Date }

const runOf = (trx: Knex, id: string): Promise<RunRow | undefined> =>
  first(
    trx,
    `select r.*, t.outcome, t.reason as ended_by, t.closed_at, clock_timestamp() as now from ledger.request r left join ledger.terminal t using (id) where r.id = :id`,
    { id },
  )

function retryIsDue({ outcome, ended_by: reason, closed_at: closedAt, attempt, now }: RunRow): boolean {
  if (outcome === null || closedAt === null || attempt >= attemptLimit) return false
  if (!retryableOutcomes.includes(outcome) && !retryableReasons.includes(reason ?? '')) return false
  return closedAt.getTime() + backoffMs(attempt) <= now.getTime()
}

async function joinOrStart(trx: Knex, draft: RequestDraft, signal: Signal, before: RunRow | undefined): Promise<Accepted> {
  const attempt = before ? await nextAttempt(trx, signal) : 1
  const tries = 3
  for (let tried = 1; ; tried++) {
    const open = await openRunFor(trx, draft)
    const started = open ? undefined : await insertRequest(trx, draft, attempt)
    const request = open ?? started
    if (request) {
      await attach(trx, signal, request.id)
      return { accepted: started ? 'new' : 'known', request }
    }
    // Another alert won the race; its row is committed now, unless its run ended meanwhile.
    if (tried === tries) return { accepted: 'known', request: await latestRunOf(trx, draft, attempt) }
  }
}

async function nextAttempt(trx: Knex, { fingerprint, startsAt }: IncidentKey): Promise<number> {
  const row = await first<{ next: number }>(
    trx,
    'select coalesce(max(attempt), 0) + 1 as next from ledger.request where fingerprint = :fingerprint and starts_at = :startsAt',
    { fingerprint, startsAt },
  )
  return row?.next ?? 1
}

/** The run at work on the same target and action, whoever asked for it. */
export async function openRunFor(db: Knex, { action, target, incident }: Pick<RequestDraft, 'action' | 'target' | 'incident'>): Promise<RemediationRequest | undefined> {
  const row = await first<RequestRow>(
    db,
    openRun,
    { ...target, action, fingerprint: incident?.fingerprint ?? null },
  )
  return row && toRequest(row)
}

async function latestRunOf(trx: Knex, { incident }: RequestDraft, attempt: number): Promise<RemediationRequest> {
  const row = await first<RequestRow>(
    trx,
    'select * from ledger.request where fingerprint = :fingerprint and starts_at = :startsAt and attempt >= :attempt order by attempt desc limit 1',
    { ...incident, attempt },
  )
  if (!row) throw new Error('a request could be neither stored nor found')
  return toRequest(row)
}

const attach = (trx: Knex, { fingerprint, startsAt }: Signal, id: string) =>
  rows(trx, 'update ledger.signal set remediation_id = :id where fingerprint = :fingerprint and starts_at = :startsAt', { id, fingerprint, startsAt })

const waitingPhases: readonly Phase[] = ['accepted', 'planning', 'awaiting_approval', 'waiting_turn']

const comment = 'every alert that asked for this has stopped'
const system = { id: 'aegis', kind: 'service', owner: 'aegis', roles: ['service'] }

/**
 * The alert has stopped. Returns the remediations that wait and now have no firing alert left: each
 * gets an answer of kind `resolve`, which its workflow is told like any other. What a person asked for is
 * theirs to end, even where alerts joined it.
 */
export const markResolved = guarded((db: Knex, { fingerprint, startsAt }: IncidentKey, areas: Readable = null): Promise<string[]> =>
  inTransaction(db, async (trx) => {
    const signal = await first<{ remediation_id: string | null }>(
      trx,
      `update ledger.signal set resolved_at = coalesce(resolved_at, now())
       where fingerprint = :fingerprint and starts_at = :startsAt
         and (:areas::jsonb is null or exists (select from ledger.request r where r.id = remediation_id and ${within('r')})) returning remediation_id`,
      { fingerprint, startsAt, ...areasParameter(areas) },
    )
    if (!signal?.remediation_id) return []
    const told = await rows<{ id: string; answer_id: string }>(trx, resolveSql, { id: signal.remediation_id, system: JSON.stringify(system), comment, waiting: [...waitingPhases] })
    for (const { id, answer_id: answerId } of told) {
      await appendEntry(trx, { stream: id, stepKey: `answer/${answerId}`, kind: 'resolved', actor: systemActor, body: { answerId, comment, fingerprint, startsAt } })
    }
    return told.map(({ id }) => id)
  }),
)

/** Of a request `r` that came from alerts: each of them has stopped. */
export const noAlertLeft = `
  (r.fingerprint is not null or exists (select from ledger.handoff p join ledger.request f on f.id = p.from_id
    where p.became = r.id and (f.fingerprint is not null or f.door = 'handoff')))
  and not exists (select from ledger.signal s where s.remediation_id = r.id and s.resolved_at is null)`

const resolveSql = `
  with resolved as (
    update ledger.request r set resolved_at = now()
    where r.id = :id and r.phase = any(:waiting) and r.resolved_at is null and ${noAlertLeft}
    returning r.id
  ), answered as (
    insert into ledger.answer (answer_id, id, kind, principal, owner, comment)
    select gen_random_uuid(), id, 'resolve', :system, 'aegis', :comment from resolved
    on conflict do nothing returning answer_id, id
  )
  select id, answer_id, pg_notify('aegis_answer', answer_id::text) from answered`
