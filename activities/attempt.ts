import type { SendResult } from '../adapters/kubernetes/cluster.ts'
import type { Result } from '../adapters/postgres/intents.ts'
import { actionRules } from '../domain/actions/index.ts'
import { hasRecovered } from '../domain/actions/recovered.ts'
import type { AttemptRead, Situation } from '../domain/actions/situation.ts'
import { Failure } from '../domain/failure.ts'
import type { Plan } from '../domain/plan.ts'
import type { FaultClass } from '../domain/remediation.ts'
import type { ExecutionDeps } from './deps.ts'
import { ended } from './ended.ts'
import { permission, refusalMessage, type Permitted } from './permission.ts'
import { refusals } from './record-intent.ts'
import { endingWith } from './recording.ts'
import type { AttemptInput, Attempted } from './results.ts'

/** Status updates move resourceVersion all the time; each conflict starts the attempt over, this often. */
const conflictLimit = 8
const conflictPauseMs = 100

/**
 * One step of the act or of the undo. Each attempt: read the target, ask the database in one
 * transaction whether it may send, then send with that very read's UID and resourceVersion.
 * Invariant (no late read): nothing is read again between the transaction and the call.
 */
export async function attempt(deps: ExecutionDeps, input: AttemptInput): Promise<Attempted> {
  const given = await permission(deps, input)
  if ('refused' in given) return refusedPermission(given.refused)
  for (let conflicts = 0; conflicts < conflictLimit; conflicts++) {
    const attempted = await attemptOnce(deps, input, given)
    if (attempted !== 'conflict') return attempted
    await deps.sleep(conflictPauseMs * 2 ** Math.min(conflicts, 4))
  }
  throw new Failure('unavailable', 'busy_target', `the target changed ${conflictLimit} times while it was being written; trying again`)
}

async function attemptOnce(deps: ExecutionDeps, input: AttemptInput, { plan, fault }: Permitted): Promise<Attempted | 'conflict'> {
  const { db, store, cluster } = deps
  const { id, phase, digest: planDigest, warrantId, claimToken } = input
  const read = await cluster.read(plan)
  const situation = actionRules[plan.action].situation(plan as never, phase, id, read)
  // The undo writes its stamp even when the value is back; an act that finds its wish fulfilled was overtaken.
  const wantsStamp = situation.is === 'wanted' && phase === 'undo'
  if (situation.is !== 'ready' && !wantsStamp) return settledBy(deps, input, plan, situation)
  if (phase === 'act' && fault !== null && hasRecovered(fault, (await cluster.health(plan)).health, read)) return recovered(deps, input, fault, plan)

  const begun = await store.beginAttempt(db, { id, phase, planDigest, warrantId, claimToken })
  if (!begun.go) return refusedAttempt(begun.because)
  return afterSending(deps, input, begun.attempt, await send(deps, input, plan, situation, read))
}

/** An undo whose value is already back still writes its stamp, so that a late act cannot land. */
async function send({ cluster }: ExecutionDeps, { id, phase }: AttemptInput, plan: Plan, situation: Situation, read: AttemptRead): Promise<SendResult> {
  if (phase === 'act' || situation.is === 'ready') return cluster.send(plan, phase, id, read)
  const fenced = await cluster.fence(plan, id, 'undone', read)
  if (fenced === 'conflict') return { sent: 'conflict' }
  return fenced === 'fenced' ? { sent: 'applied', resourceVersion: null } : { sent: 'other_object' }
}

/**
 * What the read alone decides, before anything is sent. The intent is looked at after it: whoever sees a pod gone by
 * our call also sees that call's `sent`, which was committed before it.
 */
async function settledBy(deps: ExecutionDeps, input: AttemptInput, plan: Plan, situation: Exclude<Situation, { is: 'ready' }>): Promise<Attempted> {
  const intent = await deps.store.loadIntent(deps.db, input.id, input.phase)
  if (!intent) return refusedAttempt('no_intent')
  switch (situation.is) {
    case 'done_by_us':
      return settle(deps, input, 'applied', 'the stamp on the target says that it is done')
    case 'gone':
      return intent.attempts > 0 && plan.action === 'restart_pod'
        ? settle(deps, input, 'presumed', 'the pod is gone, and our call may have done it')
        : overtaken(deps, input, 'the target is gone')
    case 'wanted':
      return overtaken(deps, input, 'someone else made the same change')
    case 'changed':
      return overtaken(deps, input, situation.message)
    case 'stopped':
      return { effect: 'none', because: 'final', ...refusals.stopped }
  }
}

/** Where something was sent before, nothing is settled, and the fence tells what became of it. */
async function recovered(deps: ExecutionDeps, input: AttemptInput, fault: FaultClass, { target }: Plan): Promise<Attempted> {
  const { db, store } = deps
  const [request, intent] = [await store.loadRequest(db, input.id), await store.loadIntent(db, input.id, input.phase)]
  if (!intent) return refusedAttempt('no_intent')
  if (request?.stopAttempts) return refusedAttempt('cancelled')
  const message = `${target.kind} \`${target.namespace}/${target.name}\` no longer shows \`${fault}\`: nothing is changed`
  const attempted: Attempted = { effect: 'none', because: 'final', ...ended('no_action_needed', 'fault_gone', message) }
  return settledAs(deps, input, { result: 'not_sent', attempts: 0, detail: { code: 'fault_gone' } }, () => attempted)
}

async function afterSending(deps: ExecutionDeps, input: AttemptInput, attemptNumber: number, result: SendResult): Promise<Attempted | 'conflict'> {
  switch (result.sent) {
    case 'applied':
      return settle(deps, input, 'applied', `the ${input.phase} is done`)
    case 'conflict':
      return 'conflict'
    case 'other_object':
      return overtaken(deps, input, 'an object with another UID has taken the name')
    case 'refused':
      return refusedByServer(deps, input, attemptNumber, result)
  }
}

async function refusedByServer(deps: ExecutionDeps, input: AttemptInput, attemptNumber: number, result: Extract<SendResult, { sent: 'refused' }>): Promise<Attempted> {
  const { code, message, retryable, retryAfterMs } = result
  if (retryable && code === 'pdb_exhausted') return { effect: 'none', because: 'pdb', retryMs: retryAfterMs ?? 5_000, summary: message }
  if (retryable) throw new Failure('unavailable', code, message)
  // The cluster's own word for a freeze: it ends an act, and holds an undo until it is lifted.
  if (code === 'frozen' && input.phase === 'undo') return refusedAttempt('frozen')
  const refused: Attempted = { effect: 'none', because: 'final', ...ended(code === 'frozen' ? 'frozen' : 'blocked', code, message) }
  // A clear refusal of the only call ever sent: nothing can land any more, and no fence is needed. While this one was
  // under way a later one may have begun; then nothing is settled here, and the fence tells.
  return attemptNumber > 1 ? refused : settledAs(deps, input, { result: 'not_sent', attempts: attemptNumber, detail: { code } }, () => refused)
}

const settle = (deps: ExecutionDeps, input: AttemptInput, result: 'applied' | 'presumed', summary: string): Promise<Attempted> =>
  settledAs(deps, input, { result, detail: {} }, (stands) =>
    stands === 'applied' || stands === 'presumed' ? { effect: stands, summary } : { effect: 'none', because: 'final', ...refusals.stopped },
  )

const overtaken = (deps: ExecutionDeps, input: AttemptInput, message: string): Promise<Attempted> =>
  settledAs(deps, input, { result: 'overtaken', detail: {} }, () => ({ effect: 'none', because: 'final', ...ended('overtaken', 'target_changed', message) }))

/** The last word of an attempt. `attemptedOf` is told which result stands: it may be an earlier one. */
const settledAs = ({ db, store }: ExecutionDeps, { id, phase }: AttemptInput, result: Result, attemptedOf: (stands: Settled['result']) => Attempted) =>
  endingWith<Settled, Attempted>((step) => store.settleIntent(db, { id, phase, ...result }, step), (settled) => attemptedOf(settled.result))

type Settled = Awaited<ReturnType<ExecutionDeps['store']['settleIntent']>>

function refusedPermission(refused: keyof typeof refusalMessage): Attempted {
  if (refused === 'warrant_expired') return { effect: 'none', because: 'warrant', retryMs: 0, summary: refusalMessage[refused] }
  return { effect: 'none', because: 'final', ...ended('blocked', refused, refusalMessage[refused]) }
}

function refusedAttempt(because: keyof typeof refusals): Attempted {
  const { ending, summary } = refusals[because]
  if (because === 'warrant_expired') return { effect: 'none', because: 'warrant', retryMs: 0, summary }
  if (because === 'frozen') return { effect: 'none', because: 'frozen', retryMs: 5_000, summary }
  if (because === 'cancelled') return { effect: 'none', because: 'cancelled', retryMs: 0, summary }
  if (because === 'limited') return { effect: 'none', because: 'limited', retryMs: 0, summary }
  return { effect: 'none', because: 'final', ending, summary }
}
