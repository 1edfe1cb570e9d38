import { sleep } from '@temporalio/workflow'
import type { Attempted, Ends, Fenced } from '../activities/results.ts'
import type { EffectPhase, Ending } from '../domain/remediation.ts'
import { ending, endingOf } from './endings.ts'
import { pauseOf, ref, roundLimit, type Permit, type Story } from './story.ts'

/** Warrant, intent, call: until the effect is known or a fence makes sure that there will be none. */
export async function mutate(story: Story, permit: Permit, phase: EffectPhase): Promise<Ending | 'effective'> {
  const { run, timing } = story
  const untilMs = Date.now() + (phase === 'act' ? run.leftMs() : timing.undoTimeoutMs)
  let stop = ending('blocked', 'deadline', `the time for the ${phase} passed before it could be done`)
  try {
    for (let round = 0; round < roundLimit && Date.now() < untilMs; round++) {
      const leftMs = untilMs - Date.now()
      const renewed = round > 0 && phase === 'act' ? await renew(story, permit, leftMs) : permit
      if ('outcome' in renewed) {
        stop = renewed
        break
      }
      const attempted = await attempt(story, renewed, phase, leftMs)
      if (attempted.effect !== 'none') return 'effective'
      stop = stopOf(attempted)
      if (!mayPass(attempted, phase)) break
      const { retryMs } = attempted
      run.publishPhase()
      if (retryMs > 0) await sleep(Math.min(pauseOf(round, retryMs), Math.max(untilMs - Date.now(), 1)))
    }
  } catch (failure) {
    stop = endingOf(failure)
  }
  return fenced(story, permit, phase, stop)
}

/** A new warrant to act needs a new decision; denied meanwhile is denied. */
async function renew({ run, decide }: Story, permit: Permit, leftMs: number): Promise<Permit | Ending> {
  const { digest } = permit
  const evaluated = await decide.evaluatePolicy('ask the policy again for a new warrant', leftMs, { ...ref(run), digest })
  if (evaluated.proceed === 'act') return { ...permit, decisionId: evaluated.decisionId }
  if (evaluated.proceed === 'stop') return evaluated.ending
  return ending('blocked', 'approval_lapsed', 'the policy asks for an approval again; ask for a new remediation')
}

async function attempt(story: Story, permit: Permit, phase: EffectPhase, leftMs: number): Promise<Attempted> {
  const { run, decide, execute } = story
  const { digest, claimToken, decisionId } = permit
  run.enter(phase === 'act' ? 'acting' : 'undoing', phase === 'act' ? 'issueWarrant' : 'issueWarrant for the undo')
  const { warrantId } = await decide.issueWarrant(`sign a warrant for the ${phase}`, leftMs, { ...ref(run), digest, phase, decisionId })
  const validated = await execute.validateSignature(`check the warrant for the ${phase}`, leftMs, { ...ref(run), digest, phase, warrantId })
  const { summary } = validated
  if (!validated.valid) return before({ ending: ending('blocked', validated.reason, summary), summary })

  const input = { ...ref(run), digest, phase, warrantId, claimToken }
  const recorded = await execute.recordIntent(`write down what the ${phase} is about to do`, leftMs, { ...input, runId: run.runId })
  if (!recorded.recorded) return before(recorded)
  return phase === 'act'
    ? execute.executeAction('make the change, once', leftMs, input)
    : execute.rollback('take the change back, once', leftMs, input)
}

const frozenRetryMs = 5_000

/** Refused before any call: what a new warrant mends, or the end of a freeze, is no end of the remediation. */
function before({ ending: refused, summary }: Ends): Attempted {
  if (refused.reason === 'warrant_expired') return { effect: 'none', because: 'warrant', retryMs: 0, summary }
  if (refused.outcome === 'frozen') return { effect: 'none', because: 'frozen', retryMs: frozenRetryMs, summary }
  return { effect: 'none', because: 'final', ending: refused, summary }
}

type Without = Extract<Attempted, { effect: 'none' }>

/** A spent budget and an old warrant pass; a freeze ends an act, and holds an undo until it is lifted. */
function mayPass(attempted: Without, phase: EffectPhase): attempted is Exclude<Without, { because: 'final' }> {
  return attempted.because === 'warrant' || attempted.because === 'pdb' || (attempted.because === 'frozen' && phase === 'undo')
}

function stopOf(attempted: Without): Ending {
  if (attempted.because === 'final') return attempted.ending
  const { summary } = attempted
  const stops: Record<typeof attempted.because, Ending> = {
    frozen: ending('frozen', 'frozen', summary),
    cancelled: ending('cancelled', 'cancelled_by_person', summary),
    limited: ending('limited', 'limit_reached', summary),
    pdb: ending('blocked', 'pdb_exhausted', summary),
    warrant: ending('blocked', 'warrant_expired', summary),
  }
  return stops[attempted.because]
}

/** No run closes on a call that may still land. What landed counts only if it is what this run planned. */
async function fenced({ run, execute, timing }: Story, { digest }: Permit, phase: EffectPhase, stop: Ending): Promise<Ending | 'effective'> {
  let result: Fenced
  try {
    result = await execute.fence('make sure that no late call can land', timing.fenceTimeoutMs, { ...ref(run), phase })
  } catch (failure) {
    const { message } = endingOf(failure)
    return ending('needs_human', 'unfenced', `the change may still land, and no fence could be written: ${message}`)
  }
  if (result.fenced === 'unfenced') return ending('needs_human', 'unfenced', result.summary)
  return result.fenced === 'landed' && result.digest === digest ? 'effective' : stop
}
