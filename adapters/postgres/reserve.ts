import type { Knex } from 'knex'
import type { Budget } from '../../domain/guards/disruption.ts'
import type { GuardName, Objection } from '../../domain/guards/objection.ts'
import { admit, type ConcurrencyRule, type FlapRule, type LimitEntry, type LimitRule } from '../../domain/limits.ts'
import type { ActionName, EffectPhase, WorkloadRef } from '../../domain/remediation.ts'
import { openBreakerOf } from './breakers.ts'
import { guarded } from './failures.ts'
import { coveringFreeze, latestDecisionId } from './freeze.ts'
import { systemActor } from './ledger.ts'
import { freezeLock, lockRequestSql, present, type RequestRow } from './request-rows.ts'
import { first, inTransaction, rows } from './sql.ts'
import type { StepOf } from './steps.ts'
import { lookAndWrite, write } from './write.ts'

export type Reservation = {
  id: string
  workload: WorkloadRef
  action: ActionName
  limits: readonly LimitRule[]
  concurrency: readonly ConcurrencyRule[]
  /** The plan has an undo: room for it is taken too, and given back when it is not used. */
  undo: boolean
  /** What is to be reserved for. */
  planDigest: string
  /** Percent budgets of this plan; the act alone takes from them. */
  budgets: readonly Budget[]
  /** What a look at the cluster, just now, speaks against; null: nothing. */
  objection: Objection | null
  flap: FlapRule
  /** Nothing acts by itself on a workload this soon after its last effect. 0: somebody asked who may. */
  afterActionMs: number
}

export type Reserved =
  | { reserved: true; claimToken: number }
  | { reserved: false; because: 'rejected'; by: string; comment: string }
  | { reserved: false; because: 'resolved' }
  | { reserved: false; because: 'coalesced'; into: string }
  | { reserved: false; because: 'busy'; holder: string }
  /** `taken` and `wanted` are of `limit`; for places among those at work `wanted` is 1. */
  | { reserved: false; because: 'limited'; rule: string; retryAfterMs: number; limit: number; taken: number; wanted: number }
  | { reserved: false; because: 'guarded'; guard: GuardName; message: string }
  | { reserved: false; because: 'quarantined'; effects: number }
  | { reserved: false; because: 'frozen'; freezeId: string; reason: string }
  | { reserved: false; because: 'kept_for_person'; by: string }
  | { reserved: false; because: 'closed' }

type ClaimRow = {
  /** When a person gave it back for the last time. */
  released_at: Date | null
  token: number
  state: 'free' | 'held' | 'kept'
  holder: string | null
  action: ActionName | null
}

/**
 * Takes the claim on the workload and room in every limit, or nothing. Safe to repeat. A run that finds
 * the claim held for the same action leaves a hand-off, which the holder's close turns into a request.
 */
export const reserve = guarded((db: Knex, wanted: Reservation, step?: StepOf<Reserved>): Promise<Reserved> =>
  inTransaction(db, async (trx): Promise<Reserved> => {
    const rules = rulesFor(wanted)
    const { phase, resolved_at: resolvedAt, claim } = await lock(trx, wanted, rules)
    if (phase === 'closed') return { reserved: false, because: 'closed' }
    const admission: Admission = { reserved: true, claimToken: claim.token + 1 }
    const room = await takeIfThereIs(trx, wanted, rules, claim, { resolvedAt, admission, step: step?.(admission) })
    const stopped = stoppedBefore(resolvedAt, room)
    if (stopped) return stopped
    if (claim.holder === wanted.id && claim.state === 'held') return { reserved: true, claimToken: claim.token }
    if (claim.holder === wanted.id) return { reserved: false, because: 'quarantined', effects: wanted.flap.limit }
    if (claim.holder !== null) return taken(trx, wanted, { ...claim, holder: claim.holder }, step)
    const refusal = await refusalOf(trx, wanted, rules, room)
    // Invariant (one rule): what the statement took is what the rules admit. Where they differ, the transaction ends here.
    if (room.told !== (refusal === null)) throw new Error(`the limiter and its statement disagree about ${refusal?.because ?? 'an admission'}`)
    if (refusal?.because === 'quarantined') return quarantine(trx, wanted, refusal, claim.token + 1, step)
    return refusal ?? admission
  }),
)

/**
 * What is committed against acting, whatever the run was told of it: messages are late or lost. A request that was
 * handed off once stays so, for by now another one may be acting on its behalf.
 */
function stoppedBefore(resolvedAt: Date | null, { rejection, handed_to: into }: RoomRow): Reserved | null {
  if (rejection) return { reserved: false, because: 'rejected', ...rejection }
  if (resolvedAt !== null) return { reserved: false, because: 'resolved' }
  return into === null ? null : { reserved: false, because: 'coalesced', into }
}

type LockRow = Pick<RequestRow, 'phase' | 'resolved_at'> & { claim: ClaimRow }

/**
 * Locks the request, then the claim's row, making it when the workload was never touched before, then, where the claim
 * is free, freeze shared and the keys of all limits in one order for everybody. Rows that come with their lock are
 * their newest versions; whatever else the locks protect is read by a later statement.
 */
async function lock(trx: Knex, { id, workload: { uid, ...workload } }: Reservation, { limits, concurrency }: Rules): Promise<LockRow> {
  const keys = [...limits, ...concurrency].map(({ key }) => key).sort()
  const row = present(id, await first<Omit<LockRow, 'claim'> & ClaimRow>(trx, lockSql, { ...workload, id, uid, keys }))
  const { phase, resolved_at, ...claim } = row
  return { phase, resolved_at, claim }
}

// Each step names the one before it, so that none of them can come first. What comes behind the locks is planned once a
// connection: left to itself the database plans it anew each time, while others wait, and that takes longer than running it.
const lockSql = `
  with request as materialized (${lockRequestSql}), claim as (
    insert into ledger.claim (cluster, namespace, kind, name, workload_uid)
    select :cluster, :namespace, :kind, :name, :uid from request where phase <> 'closed'
    on conflict (cluster, namespace, kind, name) do update set workload_uid = excluded.workload_uid
    returning token::float8 as token, state, holder, action, released_at
  ), unfrozen as materialized (
    select pg_advisory_xact_lock_shared(${freezeLock}) from claim where holder is null
  ), locked as materialized (
    select count(pg_advisory_xact_lock(hash)) as keys from (
      select distinct hashtextextended('ledger.limit:' || key, 0) as hash from unfrozen, unnest(:keys::text[]) key order by hash offset 0
    ) sorted
  )
  select request.phase, request.resolved_at, claim.*, locked.keys, set_config('plan_cache_mode', 'force_generic_plan', true)
  from request left join claim on true, locked`

async function taken(trx: Knex, { id, action, workload }: Reservation, claim: ClaimRow & { holder: string }, step?: StepOf<Reserved>): Promise<Reserved> {
  const { holder: into } = claim
  if (claim.state === 'kept') return { reserved: false, because: 'kept_for_person', by: into }
  if (claim.action !== action) return { reserved: false, because: 'busy', holder: into }
  const coalesced: Reserved = { reserved: false, because: 'coalesced', into }
  await write(trx, {
    changes: 'handed as (insert into ledger.handoff (from_id, into_id) values (:id, :into))',
    parameters: { id, into },
    entry: { stream: id, stepKey: 'handed_off', kind: 'handed_off', actor: systemActor, body: { into, workload } },
    step: step?.(coalesced),
  })
  return coalesced
}

/** A limit as it applies here: `key` names the log that every run under the same rule and scope shares. */
type Slot = { phase: EffectPhase; amount: number }
type KeyedRule = { key: string; name: string; limit: number; windowMs: number; slots: Slot[] }
type Counted = { key: string; name: string; limit: number; scope: ConcurrencyRule['scope'] }
type Rules = { limits: KeyedRule[]; concurrency: Counted[] }

function rulesFor({ workload: { cluster, namespace, kind, name }, action, limits, concurrency, undo, budgets }: Reservation): Rules {
  const place = { cluster, namespace: `${cluster}/${namespace}`, workload: `${cluster}/${namespace}/${kind}/${name}` }
  const effects: Slot[] = [{ phase: 'act', amount: 1 }, ...(undo ? [{ phase: 'undo', amount: 1 } as const] : [])]
  const counted = limits
    .filter((rule) => rule.action === '*' || rule.action === action)
    .map(({ action: of, scope, key, limit, windowMs }) => ({ key: `${of}:${scope}:${place[scope]}:${windowMs}`, name: key, limit, windowMs, slots: effects }))
  const shared = budgets.map(({ name: title, scope, amount, limit, windowMs }): KeyedRule =>
    ({ key: `ready_pods:${scope}:${place[scope]}:${windowMs}`, name: title, limit, windowMs, slots: [{ phase: 'act', amount }] }))
  return {
    limits: [...counted, ...shared],
    concurrency: concurrency.map((rule) => ({ key: `concurrency:${rule.scope}:${place[rule.scope]}`, name: rule.key, limit: rule.limit, scope: rule.scope })),
  }
}

type RoomRow = {
  /** A person's no to the request that asks. */
  rejection: { by: string; comment: string } | null
  /** Whom the request that asks left its wish to. */
  handed_to: string | null
  freeze: { freeze_id: string; reason: string } | null
  breaker: { policy: string; reason: string } | null
  /** Effects on the workload within the flap window, since a person last gave it back. */
  effects: number
  /** Milliseconds since the newest effect on it that no approval came after; null: there is none. */
  since_ms: number | null
  /** At work now, counted up to the limit. */
  in_cluster: number
  in_namespace: number
  /** By key. */
  taken: Record<string, number> | null
  /** Nothing stood against it, and it was taken. */
  told: boolean
}

/** The refusal in words, by the same facts as the statement that took or did not. */
async function refusalOf(trx: Knex, wanted: Reservation, rules: Rules, row: RoomRow): Promise<Refused | null> {
  if (row.freeze) return { reserved: false, because: 'frozen', freezeId: row.freeze.freeze_id, reason: row.freeze.reason }
  return guardedBy(wanted, row) ?? tooManyAtOnce(rules, row) ?? (await overLimit(trx, rules, row.taken ?? {}))
}

type Refused = Extract<Reserved, { reserved: false }>

/** What holds whatever room there is, the most telling first. */
function guardedBy({ objection, flap, afterActionMs, workload: { kind, namespace, name } }: Reservation, row: RoomRow): Refused | null {
  const held = (guard: GuardName, message: string): Refused => ({ reserved: false, because: 'guarded', guard, message })
  if (row.breaker) return held('breaker_open', `the breaker of policy \`${row.breaker.policy}\`, which permits this, is open: ${row.breaker.reason}; look into them, then run \`aegis breaker close ${row.breaker.policy} --reason …\``)
  if (objection) return held(objection.guard, objection.message)
  if (row.effects >= flap.limit) return { reserved: false, because: 'quarantined', effects: row.effects }
  if (row.since_ms === null || row.since_ms >= afterActionMs) return null
  const [since, quiet] = [Math.floor(row.since_ms / 1000), Math.ceil(afterActionMs / 1000)]
  return held('after_action', `${kind} \`${namespace}/${name}\` was acted on ${since} s ago and is left alone for ${quiet} s (AEGIS_AFTER_ACTION_MS): wait, approve this plan, or ask for the action yourself`)
}

/** What holds room: the effect may still come, or came less than a window ago. Each has its index. */
const pending = `r.released_at is null and r.effect_at is null`
const inWindow = (windowMs: string) => `r.released_at is null and r.effect_at > (select clock_timestamp()) - ${windowMs} * interval '1 ms'`

const onWorkload = `
  i.cluster = :cluster and i.namespace = :namespace and i.workload_kind = :kind and i.workload_name = :name
    and i.phase = 'act' and i.result in ('applied', 'presumed')`

// Whoever approves after the last effect knows of it; the requester's break-glass is no approval of another. Of those at work no more are counted than there may be.
const roomSql = `
  taken as materialized (
    select k.key, k.most, k.wanted,
      (select coalesce(sum(r.amount), 0) from ledger.reservation r where r.key = k.key and ${pending})
      + (select coalesce(sum(r.amount), 0) from ledger.reservation r where r.key = k.key and ${inWindow('k.window_ms')}) as amount
    from unnest(:keys::text[], :windowsMs::bigint[], :limits::bigint[], :amounts::bigint[]) k(key, window_ms, most, wanted)
  ), room as materialized (
    select (select jsonb_build_object('by', owner, 'comment', comment) from ledger.answer where id = :id and kind = 'reject' order by at limit 1) as rejection,
      (select coalesce(became, into_id) from ledger.handoff where from_id = :id) as handed_to,
      (select jsonb_build_object('freeze_id', f.freeze_id, 'reason', f.reason) from ${coveringFreeze(latestDecisionId)} order by f.set_at limit 1) as freeze,
      ${openBreakerOf} as breaker,
      (select count(*)::integer from ledger.intent i where ${onWorkload}
        and i.settled_at > greatest(clock_timestamp() - :flapMs::bigint * interval '1 ms', :releasedAt::timestamptz)) as effects,
      (select (extract(epoch from clock_timestamp() - max(i.settled_at)) * 1000)::float8 from ledger.intent i where ${onWorkload}
        having not exists (select from ledger.answer a join ledger.request q using (id)
          where a.id = :id and a.kind = 'approve' and a.owner <> q.owner and a.plan_digest = :planDigest and a.at > max(i.settled_at))) as since_ms,
      (select count(*)::integer from (select from ledger.claim c where c.state = 'held' and c.cluster = :cluster limit :mostInCluster) held) as in_cluster,
      (select count(*)::integer from (select from ledger.claim c where c.state = 'held' and c.cluster = :cluster and c.namespace = :namespace limit :mostInNamespace) held) as in_namespace,
      (select jsonb_object_agg(key, amount) from taken) as taken
  ), admitted as materialized (
    select from room where :open and rejection is null and handed_to is null and room.freeze is null and breaker is null
      and effects < :flapLimit and (since_ms is null or since_ms >= :afterActionMs)
      and (in_cluster < :mostInCluster or not :boundInCluster) and (in_namespace < :mostInNamespace or not :boundInNamespace)
      and not exists (select from taken t where t.amount + t.wanted > t.most)
  )`

/** When a place becomes free nobody knows; asking again this often is cheap. */
const turnMs = 2_000

function tooManyAtOnce({ concurrency }: Rules, row: RoomRow): Refused | null {
  const atWork = (scope: Counted['scope']) => (scope === 'cluster' ? row.in_cluster : row.in_namespace)
  const full = concurrency.find(({ scope, limit }) => atWork(scope) >= limit)
  return full ? { reserved: false, because: 'limited', rule: full.name, retryAfterMs: turnMs, limit: full.limit, taken: atWork(full.scope), wanted: 1 } : null
}

/** Of all limits that refuse, the one with the longest wait: before that, asking again cannot help. */
async function overLimit(trx: Knex, { limits }: Rules, taken: Record<string, number>): Promise<Refused | null> {
  const takenOf = ({ key }: KeyedRule) => taken[key] ?? 0
  const full = limits.filter((rule) => !admit([{ amount: takenOf(rule), effectAtMs: null }], rule, wantedOf(rule), 0).admitted)
  const waits: Omit<Extract<Refused, { because: 'limited' }>, 'reserved' | 'because'>[] = []
  for (const rule of full) waits.push({ rule: rule.name, retryAfterMs: await waitFor(trx, rule), limit: rule.limit, taken: takenOf(rule), wanted: wantedOf(rule) })
  const [longest] = waits.sort((a, b) => b.retryAfterMs - a.retryAfterMs)
  return longest ? { reserved: false, because: 'limited', ...longest } : null
}

const wantedOf = ({ slots }: KeyedRule): number => slots.reduce((sum, { amount }) => sum + amount, 0)

/** Only a refusal has to know which effects leave the window first. */
async function waitFor(trx: Knex, rule: KeyedRule): Promise<number> {
  const log = await rows<{ amount: number; effect_ms: number | null; now_ms: number }>(trx, logSql, { key: rule.key, windowMs: rule.windowMs, limit: logLimit })
  const entries = log.map(({ amount, effect_ms: effectAtMs }): LimitEntry => ({ amount, effectAtMs }))
  const admission = admit(entries, rule, wantedOf(rule), log[0]?.now_ms ?? 0)
  return admission.admitted ? 1 : Math.ceil(admission.retryAfterMs) // room came back while we looked
}

const logLimit = 10_000
const logSql = `
  select r.amount, (extract(epoch from r.effect_at) * 1000)::float8 as effect_ms, (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms
  from ledger.reservation r where r.key = :key and (${pending} or ${inWindow(':windowMs::bigint')}) order by r.effect_at nulls last limit :limit`

type Admission = Extract<Reserved, { reserved: true }>
/** `step`: the entry of the attempt, for where it is admitted. */
type Taking = { resolvedAt: Date | null; admission: Admission; step: ReturnType<StepOf<Reserved>> }

/**
 * Looks when all locks are held, so that nothing can change in between, and takes in the same statement where nothing
 * stands against it: whoever waits for a key waits until this is committed.
 */
async function takeIfThereIs(trx: Knex, wanted: Reservation, rules: Rules, claim: ClaimRow, { resolvedAt, admission: { claimToken }, step }: Taking): Promise<RoomRow> {
  const { id, workload } = wanted
  const slots = rules.limits.flatMap((rule) => rule.slots.map((slot) => ({ ...slot, key: rule.key, window_ms: rule.windowMs })))
  const open = claim.holder === null && resolvedAt === null && wanted.objection === null
  const row = await lookAndWrite<RoomRow>(trx, {
    seen: 'room',
    of: 'admitted',
    changes: `${roomSql}, ${takeSql}`,
    parameters: { ...lookedFor(wanted, rules), open, releasedAt: claim.released_at, claimToken, slots: JSON.stringify(slots) },
    entry: { stream: id, stepKey: `reserved/${claimToken}`, kind: 'reserved', actor: systemActor, body: { claim: claimToken, workload, slots } },
    step,
  })
  if (!row) throw new Error('looking at the room gave no row')
  return row
}

function lookedFor({ id, workload: { cluster, namespace, kind, name }, action, planDigest, flap, afterActionMs }: Reservation, { limits, concurrency }: Rules) {
  const most = (of: Counted['scope']) => concurrency.filter(({ scope }) => scope === of).map(({ limit }) => limit)
  const [inCluster, inNamespace] = [most('cluster'), most('namespace')]
  return {
    id, cluster, namespace, kind, name, action, planDigest, flapMs: flap.windowMs, flapLimit: flap.limit, afterActionMs,
    keys: limits.map(({ key }) => key),
    windowsMs: limits.map(({ windowMs }) => windowMs),
    limits: limits.map(({ limit }) => limit),
    amounts: limits.map(wantedOf),
    boundInCluster: inCluster.length > 0,
    boundInNamespace: inNamespace.length > 0,
    mostInCluster: inCluster.length > 0 ? Math.min(...inCluster) : 0,
    mostInNamespace: inNamespace.length > 0 ? Math.min(...inNamespace) : 0,
  }
}

const takeSql = `
  claimed as (
    update ledger.claim set state = 'held', holder = :id, action = :action, token = :claimToken, since = now()
    where cluster = :cluster and namespace = :namespace and kind = :kind and name = :name and exists (select from admitted)
  ), acting as (
    update ledger.request set phase = 'acting' where id = :id and phase <> 'closed' and exists (select from admitted)
  ), reserved as (
    insert into ledger.reservation (id, phase, key, amount, window_ms)
    select :id, s.phase, s.key, s.amount, s.window_ms from admitted, jsonb_to_recordset(:slots::jsonb) as s(phase text, key text, amount integer, window_ms bigint)
  )`

/** The claim is kept for a person from here on; the run that asked ends as `needs_human`, and \`aegis release\` gives it back. */
async function quarantine(trx: Knex, { id, workload, action, flap }: Reservation, refusal: Extract<Reserved, { because: 'quarantined' }>, claimToken: number, step?: StepOf<Reserved>): Promise<Reserved> {
  const { cluster, namespace, kind, name } = workload
  await write(trx, {
    changes: `
      kept as (
        update ledger.claim set state = 'kept', holder = :id, action = :action, token = :claimToken, since = now()
        where cluster = :cluster and namespace = :namespace and kind = :kind and name = :name
      )`,
    parameters: { id, cluster, namespace, kind, name, action, claimToken },
    entry: { stream: id, stepKey: `quarantined/${claimToken}`, kind: 'quarantined', actor: systemActor, body: { claim: claimToken, workload, effects: refusal.effects, ...flap } },
    step: step?.(refusal),
  })
  return refusal
}
