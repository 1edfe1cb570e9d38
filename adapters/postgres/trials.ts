import type { Knex } from 'knex'
import type { ActionName, Target } from '../../domain/remediation.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import { iso, rows } from './sql.ts'

/** What a policy on trial would have done, and whether a person then asked for the same. */
export type WouldHave = { remediationId: string; action: ActionName; target: Target; otherwise: 'act' | 'ask'; decidedAt: string; askedByPerson: boolean }

/** More are counted by nobody one by one. */
export const trialLimit = 1_000

/** Newest first, of the last 90 days and in these areas. */
export const wouldHaveDone = guarded(async (db: Knex, policy: string, areas: Readable = null): Promise<WouldHave[]> => {
  const found = await rows<Target & { id: string; action: ActionName; otherwise: 'act' | 'ask'; decided_at: Date; asked: boolean }>(db, wouldHaveSql, { policy, ...areasParameter(areas) })
  return found.map(({ id: remediationId, action, cluster, namespace, kind, name, otherwise, decided_at: decidedAt, asked: askedByPerson }) =>
    ({ remediationId, action, target: { cluster, namespace, kind, name }, otherwise, decidedAt: iso(decidedAt), askedByPerson }))
})

const wouldHaveSql = `
  select d.id, r.action, r.cluster, r.namespace, r.kind, r.name, d.autonomy -> 'trial' ->> 'otherwise' as otherwise, d.decided_at,
    exists (
      select from ledger.request q where q.cluster = r.cluster and q.namespace = r.namespace and q.kind = r.kind and q.name = r.name and q.action = r.action
        and q.door in ('api', 'executor') and q.accepted_at > d.decided_at and q.accepted_at <= d.decided_at + interval '1 day' and not (q.principal -> 'roles') @> '["service"]'
    ) as asked
  from ledger.decision d join ledger.request r on r.id = d.id
  where d.proceed = 'suggest' and d.autonomy -> 'trial' -> 'policies' @> to_jsonb(:policy::text) and d.decided_at > now() - interval '90 days' and ${within('r')}
  order by d.decided_at desc limit ${trialLimit}`
