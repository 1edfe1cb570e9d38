import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { demotedTo, isBad } from '../../domain/autonomy/demotion.ts'
import type { LadderKey, Rung } from '../../domain/autonomy/rung.ts'
import type { LedgerActor, LedgerSubject } from '../../domain/ledger.ts'
import { strictestMode, type Ending, type Mode } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { systemActor } from './ledger.ts'
import { subjectOf, toRequest, type RequestRow } from './request-rows.ts'
import { first, iso, rows } from './sql.ts'
import { write } from './write.ts'

/** Whoever moves a rung holds this until it is committed, and looks at what stands in a later statement. */
export const lockRungs = (trx: Knex): Promise<unknown> => rows(trx, `select pg_advisory_xact_lock(hashtextextended('ledger.rung', 0))`)

export type RungRow = { policy_id: string; cluster: string; namespace: string; mode: Mode; kind: Rung['kind']; reason: string; remediation_id: string | null; principal: string; at: Date }

export const rungColumns = 'policy_id, cluster, namespace, mode, kind, reason, remediation_id, principal, at'

export const toRung = ({ policy_id: policy, remediation_id: remediationId, principal: by, at, ...rest }: RungRow): Rung => ({
  policy, cluster: rest.cluster, namespace: rest.namespace, mode: rest.mode, kind: rest.kind, reason: rest.reason, remediationId, by, at: iso(at),
})

/** The standing rungs of one place, for a decision's facts: a fragment with the columns `cluster` and `namespace` of `r`. */
export const standingRungs = `(
  select coalesce(jsonb_agg(to_jsonb(g) order by g.policy_id), '[]') from (
    select distinct on (policy_id) ${rungColumns} from ledger.rung
    where cluster = r.cluster and namespace = r.namespace order by policy_id, seq desc
  ) g
)`

/** As they come in such a list, where times are texts. */
export const toRungs = (listed: readonly (Omit<RungRow, 'at'> & { at: string })[]): Rung[] => listed.map((row) => toRung({ ...row, at: new Date(row.at) }))

/** Undefined: no rung caps this policy there. */
export const standingRung = (db: Knex, key: LadderKey): Promise<RungRow | undefined> =>
  first<RungRow>(
    db,
    `select ${rungColumns} from ledger.rung
     where policy_id = :policy and cluster = :cluster and namespace = :namespace order by seq desc limit 1`,
    key,
  )

/** By policy the strictest mode that an open breaker or a standing rung leaves it anywhere; a breaker leaves it nothing to do. */
export const standingCaps = guarded(async (db: Knex): Promise<ReadonlyMap<string, Mode>> => {
  const found = await rows<{ policy_id: string; mode: Mode }>(db, capsSql, {})
  return found.reduce((caps, { policy_id: policy, mode }) => caps.set(policy, strictestMode(mode, caps.get(policy) ?? 'auto')), new Map<string, Mode>())
})

const capsSql = `
  select distinct policy_id, mode from (
    select distinct on (policy_id, cluster, namespace) policy_id, mode from ledger.rung order by policy_id, cluster, namespace, seq desc
  ) g where mode <> 'auto'
  union select policy_id, 'observe' from ledger.breaker where closed_at is null`

type Permitted = { policy: string; acted_at: Mode; rung: Mode | null }

/**
 * Automatic demotion, in the transaction of the ending: each policy that permitted the act goes down a rung where it
 * was done. The terminal row is written once, so this happens once.
 */
export async function demoteAfter(trx: Knex, request: RequestRow, ending: Ending, acted: boolean): Promise<void> {
  if (!isBad(ending, acted)) return
  await lockRungs(trx)
  for (const { policy, acted_at: actedAt, rung } of await permittedBy(trx, request.id)) {
    const mode = demotedTo(actedAt, rung)
    if (mode === null) continue
    const { cluster, namespace } = request
    const reason = `remediation \`${request.id}\` ended ${ending.outcome}`
    const evidence = { outcome: ending.outcome, reason: ending.reason, verdict: ending.verdict, actedAt, rung }
    await takeStep(trx, 'demoted', { policy, cluster, namespace, mode, reason, evidence, remediationId: request.id, actor: systemActor, about: subjectOf(toRequest(request)) })
  }
}

/** The policies behind the act's own warrant. */
export const permittedBy = (trx: Knex, id: string): Promise<Permitted[]> => rows<Permitted>(trx, permittedSql, { id })

const permittedSql = `
  select s.policy, s.mode as acted_at, (
      select g.mode from ledger.rung g where g.policy_id = s.policy and g.cluster = r.cluster and g.namespace = r.namespace order by g.seq desc limit 1
    ) as rung
  from ledger.intent i join ledger.request r on r.id = i.id join ledger.warrant w on w.warrant_id = i.warrant_id
    join ledger.decision d on d.decision_id = w.decision_id,
    lateral jsonb_to_recordset(d.autonomy -> 'standing') s(policy text, mode text)
  where i.id = :id and i.phase = 'act' order by s.policy`

export type RungStep = LadderKey & {
  mode: Mode
  reason: string
  evidence: Record<string, unknown>
  remediationId: string | null
  actor: LedgerActor
  about: LedgerSubject | null
}

/** One step, with its entry; the caller holds the lock and has looked. */
export async function takeStep(trx: Knex, kind: Rung['kind'], step: RungStep): Promise<void> {
  const { rungId, changes, parameters, body } = insertion(step, kind)
  await write(trx, { changes, parameters, entry: { stream: 'autonomy', stepKey: `${kind}/${rungId}`, kind, actor: step.actor, about: step.about, body }, step: undefined })
}

function insertion({ actor, about: _about, ...step }: RungStep, kind: Rung['kind']) {
  const rungId = randomUUID()
  return {
    rungId,
    changes: `
      new as (
        insert into ledger.rung (rung_id, policy_id, cluster, namespace, mode, kind, reason, evidence, remediation_id, principal, owner)
        values (:rungId, :policy, :cluster, :namespace, :mode, :kind, :reason, :evidence, :remediationId, :principal, :owner)
      )`,
    parameters: { ...step, rungId, kind, evidence: JSON.stringify(step.evidence), principal: actor.id, owner: actor.owner },
    body: { rungId, ...step },
  }
}

/** What the ending of a remediation brought about. */
export const demotionsOf = async (db: Knex, id: string): Promise<Rung[]> =>
  (await rows<RungRow>(db, `select ${rungColumns} from ledger.rung where remediation_id = :id order by seq`, { id })).map(toRung)
