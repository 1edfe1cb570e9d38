import type { Knex } from 'knex'
import { agreementWindowMs, evidenceWindowMs, propose, type Evidence, type Proposal } from '../../domain/autonomy/proposal.ts'
import type { LadderKey, Rung } from '../../domain/autonomy/rung.ts'
import { modes, type Mode, type Principal } from '../../domain/remediation.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import { actorOf } from './ledger.ts'
import { lockRungs, standingRung, takeStep, toRung, type RungRow } from './rungs.ts'
import { inTransaction, orNull, rows } from './sql.ts'

/** One place of the ladder: what stands there, what speaks for more, and whether that suffices. */
export type LadderView = LadderKey & Proposal & { rung: Rung | null; ceiling: Mode | null; evidence: Evidence }

/** `areas`: where the asker may look. */
export type LadderFilter = Partial<LadderKey> & { areas: Readable }

/** More places than this are not shown at once: narrow the question. */
export const ladderLimit = 1_000

/** What is counted of the newest, for one question: far more than a bound needs, and read in a second. */
export const evidenceLimit = 50_000

/**
 * Every policy, cluster and namespace with a decision that it permitted, or with a rung; by name. At most 1,000, and of
 * the decisions and acts that the filter leaves the newest 50,000: a narrower question reaches further back.
 */
export const listLadder = guarded(async (db: Knex, filter: LadderFilter): Promise<LadderView[]> => {
  const { policy, cluster, namespace } = filter
  const parameters = orNull({ policy, cluster, namespace, windowMs: evidenceWindowMs, agreementMs: agreementWindowMs, ...areasParameter(filter.areas) })
  return (await rows<EvidenceRow>(db, evidenceSql, parameters)).map(toView)
})

export type LadderStep = LadderKey & { mode: Mode; reason: string; principal: Principal }

/** A step that was not made, with the reason as the proposal has it. */
export type StepRefused = { stepped: false; because: 'no_history' | 'not_proposed' | 'other_mode' | 'not_held'; why: string }

/**
 * One rung up, and only where the evidence of this very moment proposes it. A place that the settings or the policy's
 * own `mode` hold is not the ladder's to raise.
 */
export const promoteRung = guarded((db: Knex, { mode, reason, principal, ...key }: LadderStep): Promise<{ stepped: true; rung: Rung } | StepRefused> =>
  inTransaction(db, async (trx) => {
    await lockRungs(trx)
    const [place] = await listLadder(trx, { ...key, areas: null })
    if (!place) return { stepped: false, because: 'no_history', why: 'no decision of the last 90 days, and no rung, is on record for it' }
    const { proposal, held, why, evidence, rung } = place
    if (proposal === null) return { stepped: false, because: 'not_proposed', why }
    if (proposal !== mode) return { stepped: false, because: 'other_mode', why: `what is proposed is \`${proposal}\`: one rung at a time` }
    if (!held) return { stepped: false, because: 'not_held', why }
    await takeStep(trx, 'promoted', { ...key, mode, reason, evidence: { ...evidence, from: rung?.mode ?? null }, remediationId: null, actor: actorOf(principal), about: null })
    return { stepped: true, rung: await standing(trx, key) }
  }),
)

/** Any number of rungs down, at any time. `not_lower`: it stands there, or lower, already. */
export const demoteRung = guarded((db: Knex, { mode, reason, principal, ...key }: LadderStep): Promise<{ stepped: true; rung: Rung } | { stepped: false; because: 'not_lower'; stands: Mode }> =>
  inTransaction(db, async (trx) => {
    await lockRungs(trx)
    const stands = (await standingRung(trx, key))?.mode ?? 'auto'
    if (modes.indexOf(mode) >= modes.indexOf(stands)) return { stepped: false, because: 'not_lower', stands }
    await takeStep(trx, 'demoted', { ...key, mode, reason, evidence: { from: stands }, remediationId: null, actor: actorOf(principal), about: null })
    return { stepped: true, rung: await standing(trx, key) }
  }),
)

async function standing(trx: Knex, key: LadderKey): Promise<Rung> {
  const row = await standingRung(trx, key)
  if (!row) throw new Error('a rung was stored and is not there')
  return toRung(row)
}

type EvidenceRow = LadderKey & {
  rung: (Omit<RungRow, 'at'> & { at: string }) | null
  ceiling: Mode | null
  agreed: number
  ignored: number
  approved: number
  declined: number
  healed: number
  bad: number
  last_bad_at: Date | null
  now: Date
}

function toView(row: EvidenceRow): LadderView {
  const { policy, cluster, namespace, ceiling, agreed, ignored, approved, declined, healed, bad } = row
  const evidence: Evidence = { suggestions: { agreed, ignored }, approvals: { approved, declined }, acts: { healed, bad }, lastBadAtMs: row.last_bad_at?.getTime() ?? null }
  const rung = row.rung && toRung({ ...row.rung, at: new Date(row.rung.at) })
  return { policy, cluster, namespace, ceiling, evidence, rung, ...propose({ rung: rung?.mode ?? null, ceiling, evidence }, row.now.getTime()) }
}

const place = 'policy, cluster, namespace'
const window = `now() - :windowMs::bigint * interval '1 ms'`
const aDay = `:agreementMs::bigint * interval '1 ms'`
const wanted = (policy: string, of: string) =>
  `(:policy::text is null or ${policy} = :policy) and (:cluster::text is null or ${of}.cluster = :cluster) and (:namespace::text is null or ${of}.namespace = :namespace) and ${within(of)}`

// What people said counts from the newest demotion on: what they said before, they said of the policy that failed.
const evidenceSql = `
  with bound as materialized (
    select s.policy, r.cluster, r.namespace, r.kind, r.name, r.action, r.door, d.id, d.proceed, d.decided_at, d.ordinal, s.ceiling
    from ledger.decision d join ledger.request r on r.id = d.id, lateral jsonb_to_recordset(d.autonomy -> 'standing') s(policy text, ceiling text)
    where d.decided_at > ${window} and d.proceed <> 'deny' and ${wanted('s.policy', 'r')}
    order by d.decided_at desc limit ${evidenceLimit}
  ), standing as (
    select distinct on (policy_id, cluster, namespace) policy_id as policy, cluster, namespace, to_jsonb(g) as rung,
      max(at) filter (where kind = 'demoted') over (partition by policy_id, cluster, namespace) as demoted_at
    from ledger.rung g where ${wanted('policy_id', 'g')} order by policy_id, cluster, namespace, seq desc
  ), places as (
    select ${place} from bound union select ${place} from standing order by ${place} limit ${ladderLimit}
  ), newest as (
    select distinct on (${place}) ${place}, ceiling from bound order by ${place}, ordinal desc
  ), suggested as (
    select *, lag(decided_at) over (partition by ${place}, kind, name, action order by decided_at) as before
    from bound where proceed = 'suggest' and door not in ('api', 'executor')
  ), judged as (
    select ${place}, decided_at, exists (
      select from ledger.request q where q.cluster = s.cluster and q.namespace = s.namespace and q.kind = s.kind and q.name = s.name and q.action = s.action
        and q.door in ('api', 'executor') and not q.principal -> 'roles' @> '["service"]' and q.accepted_at > s.decided_at and q.accepted_at <= s.decided_at + ${aDay}
    ) as agreed
    from suggested s left join standing using (${place})
    where (before is null or before <= decided_at - ${aDay}) and (demoted_at is null or decided_at > demoted_at)
  ), suggestions as (
    select ${place}, count(*) filter (where agreed) as agreed, count(*) filter (where not agreed and decided_at <= now() - ${aDay}) as ignored
    from judged group by ${place}
  ), answered as (
    select ${place}, bool_or(a.kind = 'approve') as approved, bool_or(a.kind in ('reject', 'cancel')) as declined
    from (select distinct ${place}, b.id from bound b left join standing using (${place}) where b.proceed = 'ask' and (demoted_at is null or b.decided_at > demoted_at)) asked
      join ledger.answer a using (id) where a.kind <> 'resolve' and not a.break_glass group by ${place}, id
  ), approvals as (
    select ${place}, count(*) filter (where not declined) as approved, count(*) filter (where declined) as declined from answered group by ${place}
  ), ended as (
    select s.policy, i.cluster, i.namespace, t.outcome = 'healed' as healed, t.closed_at,
      t.outcome in ('undone', 'needs_human') or coalesce(t.verdict = 'worse', false) as bad
    from ledger.intent i join ledger.terminal t on t.id = i.id join ledger.warrant w on w.warrant_id = i.warrant_id
      join ledger.decision d on d.decision_id = w.decision_id, lateral jsonb_to_recordset(d.autonomy -> 'standing') s(policy text)
    where i.phase = 'act' and i.result in ('applied', 'presumed') and i.settled_at > ${window} and ${wanted('s.policy', 'i')}
    order by i.settled_at desc limit ${evidenceLimit}
  ), acts as (
    select ${place}, count(*) filter (where healed) as healed, count(*) filter (where bad) as bad, max(closed_at) filter (where bad) as last_bad_at from ended group by ${place}
  )
  select p.*, standing.rung, newest.ceiling, acts.last_bad_at, clock_timestamp() as now,
    coalesce(suggestions.agreed, 0)::integer as agreed, coalesce(suggestions.ignored, 0)::integer as ignored,
    coalesce(approvals.approved, 0)::integer as approved, coalesce(approvals.declined, 0)::integer as declined,
    coalesce(acts.healed, 0)::integer as healed, coalesce(acts.bad, 0)::integer as bad
  from places p left join standing using (${place}) left join newest using (${place}) left join suggestions using (${place})
    left join approvals using (${place}) left join acts using (${place})
  order by ${place}`
