import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { isBad } from '../../domain/autonomy/demotion.ts'
import { breakerReason, type BreakerEvidence, type BreakerRules } from '../../domain/guards/breaker.ts'
import type { Ending, Principal } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry, systemActor } from './ledger.ts'
import { subjectOf, toRequest, type RequestRow } from './request-rows.ts'
import { lockRungs, permittedBy } from './rungs.ts'
import { inTransaction, iso, first, rows } from './sql.ts'
import { write } from './write.ts'

export type Breaker = { policy: string; reason: string; remediationId: string; openedAt: string }

/** An open breaker among the policies behind the newest decision on `:id`: an expression. */
export const openBreakerOf = `
  (select jsonb_build_object('policy', b.policy_id, 'reason', b.reason) from ledger.breaker b
   where b.closed_at is null and b.policy_id in (
     select s.policy from (select autonomy from ledger.decision where id = :id order by ordinal desc limit 1) d,
       lateral jsonb_to_recordset(d.autonomy -> 'standing') s(policy text)
   ) order by b.opened_at limit 1)`

/**
 * In the transaction of the ending, beside the demotion: opens the breaker of each policy that permitted the act and
 * has now permitted too many that ended badly. Open ones stay as they are.
 */
export async function openBreakersAfter(trx: Knex, request: RequestRow, ending: Ending, acted: boolean, rules: BreakerRules): Promise<void> {
  if (!isBad(ending, acted)) return
  await lockRungs(trx) // endings that come together count each other
  const permitted = await permittedBy(trx, request.id)
  for (const { policy } of permitted) {
    const past = await first<{ bad: number; counted: number; bad_of_counted: number }>(trx, pastSql, { policy, windowMs: rules.windowMs, last: rules.last })
    const evidence: BreakerEvidence = { badInWindow: 1 + (past?.bad ?? 0), counted: 1 + (past?.counted ?? 0), badOfCounted: 1 + (past?.bad_of_counted ?? 0) }
    const reason = breakerReason(rules, evidence)
    if (reason !== null) await open(trx, request, policy, reason, { ...evidence, ...rules })
  }
}

/** Endings that are looked through for a policy's own; older ones say little of what it does now. */
const mostEndings = 10_000

// This ending is not written yet, and comes on top.
const pastSql = `
  with past as (
    select t.closed_at, t.outcome in ('undone', 'needs_human') or coalesce(t.verdict = 'worse', false) as bad, row_number() over (order by t.closed_at desc) as place
    from (select id, outcome, verdict, closed_at from ledger.terminal order by closed_at desc limit ${mostEndings}) t
    join ledger.intent i on i.id = t.id and i.phase = 'act' and (i.result in ('applied', 'presumed') or (i.attempts > 0 and i.state <> 'settled'))
    join ledger.warrant w on w.warrant_id = i.warrant_id
    join ledger.decision d on d.decision_id = w.decision_id
    where d.autonomy -> 'standing' @> jsonb_build_array(jsonb_build_object('policy', :policy::text))
      and t.closed_at > coalesce((select max(closed_at) from ledger.breaker b where b.policy_id = :policy), '-infinity')
  )
  select count(*) filter (where bad and closed_at > clock_timestamp() - :windowMs::bigint * interval '1 ms')::integer as bad,
    count(*) filter (where place < :last)::integer as counted, count(*) filter (where bad and place < :last)::integer as bad_of_counted
  from past`

async function open(trx: Knex, request: RequestRow, policy: string, reason: string, evidence: object): Promise<void> {
  const breakerId = randomUUID()
  await write(trx, {
    changes: `
      new as (
        insert into ledger.breaker (breaker_id, policy_id, reason, evidence, remediation_id) values (:breakerId, :policy, :reason, :evidence, :id)
        on conflict do nothing returning breaker_id
      )`,
    of: 'new',
    parameters: { breakerId, policy, reason, evidence: JSON.stringify(evidence), id: request.id },
    entry: {
      stream: 'breakers', stepKey: `opened/${breakerId}`, kind: 'breaker_opened', actor: systemActor, about: subjectOf(toRequest(request)),
      body: { breakerId, policy, reason, evidence, remediation: request.id },
    },
    step: undefined,
  })
}

/** A person has looked into it; what was counted against the policy counts no more. False: it is not open. */
export const closeBreaker = guarded((db: Knex, { policy, reason, principal }: { policy: string; reason: string; principal: Principal }): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    const closed = await first<{ breaker_id: string }>(
      trx,
      `update ledger.breaker set closed_at = clock_timestamp(), closed_by = :by, close_reason = :reason
       where policy_id = :policy and closed_at is null returning breaker_id`,
      { policy, reason, by: principal.id },
    )
    if (!closed) return false
    const { breaker_id: breakerId } = closed
    await appendEntry(trx, { stream: 'breakers', stepKey: `closed/${breakerId}`, kind: 'breaker_closed', actor: actorOf(principal), body: { breakerId, policy, reason } })
    return true
  }),
)

/** Far above the policies that could be in force and fail. */
const mostListed = 1_000

/** The open ones, the oldest first. */
export const openBreakers = guarded(async (db: Knex): Promise<Breaker[]> => {
  const found = await rows<{ policy_id: string; reason: string; remediation_id: string; opened_at: Date }>(
    db,
    `select policy_id, reason, remediation_id, opened_at from ledger.breaker where closed_at is null order by opened_at limit ${mostListed}`,
  )
  return found.map(({ policy_id: policy, reason, remediation_id: remediationId, opened_at: openedAt }) => ({ policy, reason, remediationId, openedAt: iso(openedAt) }))
})
