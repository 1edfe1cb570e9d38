import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import { insertRequest, toRequest, type RequestDraft, type RequestRow } from './request-rows.ts'
import { noAlertLeft } from './signals.ts'
import { rows } from './sql.ts'

type HandoffRow = RequestRow & { deadline_ms: string; answered: boolean; withdrawn: boolean }

/** More than this many at one close stay unread, which is far above any honest number. */
const handoffLimit = 1_000

/**
 * What others asked for while this remediation held the claim. Asking for the very thing that it then
 * did is answered by it, and what nobody wants any more is left; anything else becomes a request of its own, once
 * per target, parameters and fault.
 */
export async function turnHandoffsIntoRequests(trx: Knex, holder: RequestRow, newId: () => string): Promise<void> {
  await rows(trx, lockSignalsSql, { id: holder.id })
  const unread = await rows<HandoffRow>(trx, unreadSql, { id: holder.id })
  const wish = (row: RequestRow) => canonicalJson([row.action, row.cluster, row.namespace, row.kind, row.name, row.parameters])
  // A person's wish is not one for a fault, which could be found to be over.
  const reasoned = (row: RequestRow) => canonicalJson([wish(row), row.fault])
  const made = new Map<string, string>()
  for (const handoff of unread) {
    const over = handoff.withdrawn || (handoff.answered && wish(handoff) === wish(holder))
    const became = over ? null : (made.get(reasoned(handoff)) ?? (await request(trx, handoff, newId())))
    if (became !== null) made.set(reasoned(handoff), became)
    await rows(trx, 'update ledger.handoff set read_at = now(), became = :became where from_id = :from', { from: handoff.id, became })
    if (became !== null) {
      // The alerts behind it now point at its successor, which is told when they stop.
      await rows(trx, 'update ledger.signal set remediation_id = :became where remediation_id = :from', { from: handoff.id, became })
    }
  }
}

/** An alert that stops at this very moment is waited for, or finds the successor that it then belongs to. */
const lockSignalsSql = `
  select from ledger.signal s join ledger.handoff h on h.from_id = s.remediation_id
  where h.into_id = :id and h.read_at is null order by s.fingerprint, s.starts_at for update of s`

const unreadSql = `
  select r.*, exists (select from ledger.intent i where i.id = h.into_id and i.phase = 'act'
      and i.result in ('applied', 'presumed') and i.sent_at >= h.at) as answered,
    (${noAlertLeft}) or exists (select from ledger.answer a where a.id = r.id and a.kind in ('reject', 'cancel')) as withdrawn
  from ledger.handoff h join ledger.request r on r.id = h.from_id
  where h.into_id = :id and h.read_at is null order by h.at limit ${handoffLimit} for update of h`

/** Its incident stays with the first request: the alert's rules about one run at a time go by that. */
async function request(trx: Knex, handoff: HandoffRow, id: string): Promise<string> {
  const { principal, action, target, parameters, reason, severity, fault } = toRequest(handoff)
  const draft: RequestDraft = {
    id,
    door: 'handoff',
    principal,
    action,
    target,
    parameters,
    reason,
    severity,
    fault,
    incident: null,
    deadlineMs: Number(handoff.deadline_ms),
    idempotency: null,
  }
  const inserted = await insertRequest(trx, draft, handoff.attempt)
  if (!inserted) throw new Error('the id for a handed-off request was used before')
  return inserted.id
}
