import { actionRules } from '../domain/actions/index.ts'
import { Failure } from '../domain/failure.ts'
import type { Plan } from '../domain/plan.ts'
import type { ExecutionDeps } from './deps.ts'
import type { ExecutionSteps, Fenced } from './results.ts'

const conflictLimit = 8
const conflictPauseMs = 100

/**
 * Makes sure that no call of this phase can land any more. A call carries the resourceVersion of its
 * own read, so a stamp that moves it is a fence; a pod whose UID is gone needs none. A fence needs
 * the intent it closes, and no warrant: it gives nothing away.
 */
export const fence =
  (deps: ExecutionDeps): ExecutionSteps['fence'] =>
  async ({ id, phase }) => {
    const { db, store } = deps
    await refuseForeign(deps, id)
    const intent = await store.loadIntent(db, id, phase)
    if (!intent) return { fenced: 'not_sent', summary: `no ${phase} was ever recorded` }
    if (intent.result) return known(intent)
    // From here on no attempt is allowed to send; only those that are under way matter.
    if (!(await store.markFencing(db, id, phase))) return known((await store.loadIntent(db, id, phase)) ?? intent)
    if (intent.attempts === 0 && (await neverSent(deps, intent))) return { fenced: 'not_sent', summary: `the ${phase} was never sent` }

    const stored = await store.loadPlan(db, id, intent.planDigest)
    if (!stored) throw new Failure('missing', 'plan_missing', `the plan of \`${id}\` is gone; look at the target by hand`)
    for (let conflicts = 0; conflicts < conflictLimit; conflicts++) {
      const fenced = await fenceOnce(deps, intent, stored.plan)
      if (fenced) return fenced
      await deps.sleep(conflictPauseMs * 2 ** Math.min(conflicts, 4))
    }
    throw new Failure('unavailable', 'busy_target', `the target changed ${conflictLimit} times while it was being fenced; trying again`)
  }

type Intent = NonNullable<Awaited<ReturnType<ExecutionDeps['store']['loadIntent']>>>

/** By the committed row: a task that names another cluster would find nothing there and call that a fence. */
async function refuseForeign({ db, store, cluster }: ExecutionDeps, id: string): Promise<void> {
  const request = await store.loadRequest(db, id)
  if (request?.target.cluster === cluster.name) return
  throw new Failure('invalid', 'other_cluster', `\`${id}\` is no remediation of cluster \`${cluster.name}\`; this worker cannot fence it`)
}

/** An attempt may have begun between our read of the intent and the mark. */
async function neverSent({ db, store }: ExecutionDeps, { id, phase }: Intent): Promise<boolean> {
  const intent = await store.loadIntent(db, id, phase)
  if (intent && intent.attempts > 0) return false
  await store.settleIntent(db, { id, phase, result: 'not_sent', attempts: 0, detail: {} })
  return true
}

async function fenceOnce({ db, store, cluster }: ExecutionDeps, intent: Intent, plan: Plan): Promise<Fenced | undefined> {
  const { id, phase, planDigest: digest } = intent
  const read = await cluster.read(plan)
  const situation = actionRules[plan.action].situation(plan as never, phase, id, read)
  if (situation.is === 'done_by_us') {
    await store.settleIntent(db, { id, phase, result: 'applied', detail: { foundBy: 'fence' } })
    return { fenced: 'landed', digest, summary: `the ${phase} had landed: its stamp is on the target` }
  }
  if (situation.is === 'gone') return fencedGone({ db, store }, intent, plan)

  // `abandoned` for both phases: a fence marked `undone` could later be read as an undo that had landed.
  const result = await cluster.fence(plan, id, 'abandoned', read)
  if (result === 'conflict') return undefined
  if (result === 'gone') return fencedGone({ db, store }, intent, plan)
  await store.settleIntent(db, { id, phase, result: 'fenced', detail: {} })
  return { fenced: 'fenced', summary: `a fence is on the target: no late ${phase} can land` }
}

/** A pod that is gone or going is what a restart wanted, by our call or without it. */
async function fencedGone({ db, store }: Pick<ExecutionDeps, 'db' | 'store'>, { id, phase, planDigest: digest }: Intent, plan: Plan): Promise<Fenced> {
  const landed = plan.action === 'restart_pod'
  await store.settleIntent(db, { id, phase, result: landed ? 'presumed' : 'fenced', detail: {} })
  return landed
    ? { fenced: 'landed', digest, summary: 'the pod is gone, and our call may have done it' }
    : { fenced: 'fenced', summary: 'the target is gone: nothing is left to change' }
}

function known({ result, phase, planDigest: digest }: Intent): Fenced {
  if (result === 'applied' || result === 'presumed') return { fenced: 'landed', digest, summary: `the ${phase} is known to have landed` }
  if (result === null) return { fenced: 'unfenced', summary: `whether the ${phase} landed is not known` }
  return { fenced: 'not_sent', summary: `the ${phase} is known to have ended as \`${result}\`` }
}
