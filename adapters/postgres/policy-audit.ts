import type { Knex } from 'knex'
import type { Effect } from '../../domain/policy/document.ts'
import { guarded } from './failures.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { iso, orNull, rows } from './sql.ts'

/** One question put to the policies directly. `snapshot` and `input` (canonical JSON) make its answer again. */
export type PolicyAuditDraft = {
  logId: string
  userId: string
  owner: string
  action: string
  resource: string
  type: string
  result: Effect
  allowed: boolean
  code: string
  reason: string
  snapshot: string
  input: string
}

/** In one statement, so that a hundred waiting callers cost one commit. */
export const savePolicyAudit = guarded(async (db: Knex, drafts: readonly PolicyAuditDraft[]): Promise<void> => {
  await rows(
    db,
    `insert into control.policy_audit_logs (log_id, user_id, owner, action, resource, type, result, allowed, code, reason, snapshot, input)
     select d."logId", d."userId", d.owner, d.action, d.resource, d.type, d.result, d.allowed, d.code, d.reason, d.snapshot, d.input
     from jsonb_to_recordset(:drafts::jsonb) d("logId" uuid, "userId" text, owner text, action text, resource text, type text,
       result text, allowed boolean, code text, reason text, snapshot text, input text)`,
    { drafts: JSON.stringify(drafts) },
  )
})

export type PolicyAuditItem = Omit<PolicyAuditDraft, 'input'> & { at: string; input: unknown }

export type PolicyAuditFilter = {
  limit: number
  cursor?: string
  userId?: string
  action?: string
  resource?: string
  result?: Effect
  from?: Date
  to?: Date
}

type Row = {
  log_id: string
  at: Date
  user_id: string
  owner: string
  action: string
  resource: string
  type: string
  result: Effect
  allowed: boolean
  code: string
  reason: string
  snapshot: string
  input: string
}

/** Newest first. Ids carry their time, so a span is a range of ids. */
export const listPolicyAudit = guarded(async (db: Knex, filter: PolicyAuditFilter): Promise<Page<PolicyAuditItem>> => {
  const { limit, cursor, userId, action, resource, result, from, to } = filter
  const [before] = fromCursor(cursor, ['id'])
  const conditions = [
    ['before', 'log_id < :before::uuid'],
    ['userId', 'user_id = :userId'],
    ['action', 'action = :action'],
    ['resource', 'resource = :resource'],
    ['result', 'result = :result'],
    ['fromMs', 'log_id >= ledger.uuid_floor(:fromMs::bigint)'],
    ['toMs', 'log_id < ledger.uuid_floor(:toMs::bigint)'],
  ] as const
  const parameters: Record<string, unknown> = { before, userId, action, resource, result, fromMs: from?.getTime(), toMs: to?.getTime() }
  const wanted = conditions.filter(([name]) => parameters[name] !== undefined).map(([, sql]) => sql)
  const found = await rows<Row>(
    db,
    `select * from control.policy_audit_logs ${wanted.length > 0 ? `where ${wanted.join(' and ')}` : ''} order by log_id desc limit :limit`,
    { ...orNull(parameters), limit: limit + 1 },
  )
  return toPage(found.map(toItem), limit, ({ logId }) => [logId])
})

const toItem = ({ log_id: logId, user_id: userId, at, input, ...rest }: Row): PolicyAuditItem => ({ logId, userId, ...rest, at: iso(at), input: JSON.parse(input) as unknown })
