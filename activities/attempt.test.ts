import { describe, expect, test } from '@jest/globals'
import { planDigest } from '../domain/digest.ts'
import type { AttemptRead } from '../domain/actions/situation.ts'
import type { Plan } from '../domain/plan.ts'
import { warrantText, type Warrant } from '../domain/warrant.ts'
import type { SendResult } from '../adapters/kubernetes/cluster.ts'
import { attempt } from './attempt.ts'
import type { ExecutionDeps } from './deps.ts'
import { fence } from './fence.ts'

const id = '01900000-0000-7000-8000-000000000001'
const plan: Plan = {
  action: 'scale_deployment',
  target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'checkout', uid: 'u1', generation: 4 },
  workload: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'checkout', uid: 'u1' },
  replicas: { from: 3, to: 5 },
  templateHash: 'sha256:t',
  undo: { replicas: { from: 5, to: 3 } },
}
const sha256 = (text: string) => `${text.length}`
const digest = planDigest(plan, sha256)
const pinned: AttemptRead = { exists: true, kind: 'Deployment', uid: 'u1', resourceVersion: '10', stamps: [], generation: 4, replicas: 3, paused: false, templateHash: 'sha256:t', annotated: true }
const applied: AttemptRead = { ...pinned, generation: 5, replicas: 5, stamps: [{ id, phase: 'applied' }] }

const warrant = (over: Partial<Warrant> = {}): Warrant => ({
  type: 'aegis-warrant-v1', audience: 'main', warrantId: 'w1', remediationId: id, phase: 'act', planDigest: digest,
  decisionId: 'd1', approvals: [], issuedAtMs: 0, expiresAtMs: 60_000, nonce: 'n', keyId: 'k', ...over,
})

type Told = {
  reads?: AttemptRead[]
  sends?: SendResult[]
  fences?: ('fenced' | 'conflict' | 'gone')[]
  begins?: ({ go: true; attempt: number } | { go: false; because: string })[]
  /** Began, in all, by the time a result is settled. */
  began?: number
  intent?: { attempts: number; result?: string; phase?: 'act' | 'undo' } | undefined
  warrant?: Warrant
  signature?: string
  nowMs?: number
  allowed?: string[]
  cluster?: string
  /** Why, if a fault; and what the workload shows when it is looked at. */
  fault?: string
  faults?: string[]
  cancelled?: boolean
}

/** The database and the cluster as a test tells them, and what was done to them, in order. */
function stage(told: Told) {
  const done: string[] = []
  const take = <T>(list: T[] | undefined, otherwise: T): T => list?.shift() ?? otherwise
  const row = warrantText(told.warrant ?? warrant())
  const deps = {
    db: {},
    store: {
      loadRequest: async () => ({ target: { cluster: told.cluster ?? 'main' }, stopAttempts: told.cancelled ?? false }),
      loadPlan: async () => ({ plan, digest }),
      factsForExecution: async () => ({ plan: { plan, digest }, warrant: { document: row, signature: told.signature ?? 'good' }, now: new Date(told.nowMs ?? 1_000), fault: told.fault ?? null }),
      loadIntent: async () => ('intent' in told ? told.intent && { id, phase: 'act', planDigest: digest, result: null, ...told.intent } : { id, phase: 'act', attempts: 0, result: null, planDigest: digest }),
      beginAttempt: async () => (done.push('begin'), take(told.begins, { go: true, attempt: 1 })),
      settleIntent: async (_db: unknown, { result, attempts }: { result: string; attempts?: number }) => {
        if (attempts !== undefined && told.began !== undefined && attempts !== told.began) return { settled: false, result: null }
        done.push(`settle ${result}`)
        return { settled: true, result }
      },
      markFencing: async () => (done.push('mark fencing'), true),
    },
    cluster: {
      name: 'main',
      read: async () => (done.push('read'), take(told.reads, pinned)),
      health: async () => (done.push('look'), { health: { faults: told.faults ?? [] } }),
      send: async () => (done.push('send'), take(told.sends, { sent: 'applied', resourceVersion: '11' } as SendResult)),
      fence: async (_plan: Plan, _id: string, mark: string) => (done.push(`fence ${mark}`), take(told.fences, 'fenced')),
    },
    verify: (_key: string, _text: string, signature: string) => signature === 'good',
    sha256,
    allowedNamespaces: told.allowed ?? ['shop'],
    sleep: async () => undefined,
  }
  return { deps: deps as unknown as ExecutionDeps, done }
}

const acting = { id, cluster: 'main', digest, phase: 'act', warrantId: 'w1', claimToken: 1 } as const
const undoing = { ...acting, phase: 'undo' } as const
const frozen: SendResult = { sent: 'refused', code: 'frozen', message: 'no', retryable: false, retryAfterMs: null }

describe('an attempt to act', () => {
  test('reads, asks the database, sends, and records, in that order', async () => {
    const { deps, done } = stage({})
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'send', 'settle applied'])
  })
  test('sends nothing when its own stamp says that it is done', async () => {
    const { deps, done } = stage({ reads: [applied], intent: { attempts: 1 } })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'settle applied'])
  })
  test('starts over with a new read and a new transaction after a conflict', async () => {
    const { deps, done } = stage({ sends: [{ sent: 'conflict' }, { sent: 'applied', resourceVersion: '12' }] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'send', 'read', 'begin', 'send', 'settle applied'])
  })
  test('gives up a target that never stands still, to be tried again later', async () => {
    const { deps } = stage({ sends: Array.from({ length: 20 }, () => ({ sent: 'conflict' }) as SendResult) })
    await expect(attempt(deps, acting)).rejects.toMatchObject({ kind: 'unavailable', code: 'busy_target' })
  })
  test.each([
    ['a person scaled it', { ...pinned, generation: 5, replicas: 9 }],
    ['a person made the same change', { ...pinned, generation: 5, replicas: 5 }],
    ['it was replaced by another of the name', { ...pinned, uid: 'u2' }],
    ['it is gone', { exists: false } as const],
  ])('is overtaken when %s, and sends nothing', async (_name, read) => {
    const { deps, done } = stage({ reads: [read] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', ending: { outcome: 'overtaken' } })
    expect(done).toEqual(['read', 'settle overtaken'])
  })
  test('stops for good at the stamp of its own fence', async () => {
    const { deps, done } = stage({ reads: [{ ...pinned, stamps: [{ id, phase: 'abandoned' }] }] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'final' })
    expect(done).toEqual(['read'])
  })
  test.each([
    ['frozen', 'frozen'],
    ['cancelled', 'cancelled'],
    ['warrant_expired', 'warrant'],
    ['limited', 'limited'],
    ['claim_lost', 'final'],
    ['closed', 'final'],
  ])('sends nothing when the database says %s', async (because, ending) => {
    const { deps, done } = stage({ begins: [{ go: false, because }] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: ending })
    expect(done).toEqual(['read', 'begin'])
  })
  test('a clear refusal of the only call ever sent is known to have had no effect', async () => {
    const refused: SendResult = { sent: 'refused', code: 'forbidden', message: 'no', retryable: false, retryAfterMs: null }
    const { deps, done } = stage({ sends: [refused] })
    expect(await attempt(deps, acting)).toMatchObject({ ending: { outcome: 'blocked', reason: 'forbidden' } })
    expect(done.at(-1)).toBe('settle not_sent')
  })
  test('a refusal by the frozen cluster ends an act for good, and nothing was changed', async () => {
    const { deps, done } = stage({ sends: [frozen] })
    expect(await attempt(deps, acting)).toMatchObject({ because: 'final', ending: { outcome: 'frozen', reason: 'frozen' } })
    expect(done.at(-1)).toBe('settle not_sent')
  })
  test('after an earlier call without an answer the same refusal settles nothing', async () => {
    const refused: SendResult = { sent: 'refused', code: 'forbidden', message: 'no', retryable: false, retryAfterMs: null }
    const { deps, done } = stage({ sends: [refused], begins: [{ go: true, attempt: 2 }] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none' })
    expect(done).toEqual(['read', 'begin', 'send'])
  })
  test('a refusal settles nothing when a later attempt began meanwhile, and the fence finds what that one did', async () => {
    const refused: SendResult = { sent: 'refused', code: 'forbidden', message: 'no', retryable: false, retryAfterMs: null }
    const { deps, done } = stage({ sends: [refused], began: 2, intent: { attempts: 2 }, reads: [pinned, applied] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', ending: { outcome: 'blocked', reason: 'forbidden' } })
    expect(await fence(deps)({ id, cluster: 'main', phase: 'act' })).toMatchObject({ fenced: 'landed' })
    expect(done).toEqual(['read', 'begin', 'send', 'mark fencing', 'read', 'settle applied'])
  })
  test.each([
    ['nothing is sent', pinned, ['read', 'begin']],
    ['nothing is taken for done', applied, ['read']],
  ])('without a recorded intent %s', async (_what, read, steps) => {
    const { deps, done } = stage({ intent: undefined, reads: [read], begins: [{ go: false, because: 'no_intent' }] })
    expect(await attempt(deps, acting)).toMatchObject({ ending: { reason: 'no_intent' } })
    expect(done).toEqual(steps)
  })
})

describe('the execution side believes no task', () => {
  test.each([
    ['a signature that does not verify', { signature: 'forged' }, 'warrant_signature'],
    ['a warrant for another cluster', { warrant: warrant({ audience: 'edge' }) }, 'warrant_other_cluster'],
    ['a warrant for another remediation', { warrant: warrant({ remediationId: 'r2' }) }, 'warrant_other_remediation'],
    ['a warrant for the undo', { warrant: warrant({ phase: 'undo' }) }, 'warrant_other_phase'],
    ['a namespace this worker may not touch', { allowed: [] }, 'namespace_not_allowed'],
  ] as [string, Told, string][])('%s', async (_name, told, reason) => {
    const { deps, done } = stage(told)
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'final', ending: { outcome: 'blocked', reason } })
    expect(done).toEqual([])
  })
  test('an expired warrant asks for a new one', async () => {
    const { deps, done } = stage({ nowMs: 60_000 })
    expect(await attempt(deps, acting)).toMatchObject({ because: 'warrant' })
    expect(done).toEqual([])
  })
})

describe('an attempt to undo', () => {
  const undoWarrant = { warrant: warrant({ phase: 'undo' }) }
  test('takes the change back while it is as the act left it', async () => {
    const { deps, done } = stage({ ...undoWarrant, reads: [applied] })
    expect(await attempt(deps, undoing)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'send', 'settle applied'])
  })
  test('waits where the cluster says that it is frozen, and settles nothing', async () => {
    const { deps, done } = stage({ ...undoWarrant, reads: [applied], sends: [frozen] })
    expect(await attempt(deps, undoing)).toMatchObject({ effect: 'none', because: 'frozen', retryMs: 5_000 })
    expect(done).toEqual(['read', 'begin', 'send'])
  })
  test('writes its stamp even when the value is already back', async () => {
    const { deps, done } = stage({ ...undoWarrant, reads: [{ ...applied, replicas: 3 }] })
    expect(await attempt(deps, undoing)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'fence undone', 'settle applied'])
  })
  test('leaves alone what someone else has changed since', async () => {
    const { deps, done } = stage({ ...undoWarrant, reads: [{ ...applied, replicas: 8 }] })
    expect(await attempt(deps, undoing)).toMatchObject({ ending: { outcome: 'overtaken' } })
    expect(done).toEqual(['read', 'settle overtaken'])
  })
})

describe('a target that no longer shows what it was to be healed of', () => {
  const gone = { fault: 'crash_loop', faults: [] }

  test('is left alone, and nothing is left to fence', async () => {
    const { deps, done } = stage(gone)
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'final', ending: { outcome: 'no_action_needed', reason: 'fault_gone' } })
    expect(done).toEqual(['read', 'look', 'settle not_sent'])
  })
  test('is left to the fence where a call may still land', async () => {
    const { deps, done } = stage({ ...gone, intent: { attempts: 1 }, began: 1 })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'final', ending: { reason: 'fault_gone' } })
    expect(done).toEqual(['read', 'look'])
  })
  test('ends as cancelled where a person said so first', async () => {
    const { deps, done } = stage({ ...gone, cancelled: true })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'cancelled' })
    expect(done).toEqual(['read', 'look'])
  })
  test('proves nothing to a task whose act was never recorded', async () => {
    const { deps, done } = stage({ ...gone, intent: undefined })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'none', because: 'final', ending: { outcome: 'blocked' } })
    expect(done).toEqual(['read', 'look'])
  })
  test('is acted on all the same where a person asked, and nobody looks', async () => {
    const { deps, done } = stage({ faults: [] })
    expect(await attempt(deps, acting)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'send', 'settle applied'])
  })
  test('has its change taken back all the same', async () => {
    const { deps, done } = stage({ ...gone, reads: [applied], warrant: warrant({ phase: 'undo' }) })
    expect(await attempt(deps, undoing)).toMatchObject({ effect: 'applied' })
    expect(done).toEqual(['read', 'begin', 'send', 'settle applied'])
  })
})

test('a target that still shows what it is to be healed of is acted on', async () => {
  const { deps, done } = stage({ fault: 'crash_loop', faults: ['crash_loop'] })
  expect(await attempt(deps, acting)).toMatchObject({ effect: 'applied' })
  expect(done).toEqual(['read', 'look', 'begin', 'send', 'settle applied'])
})

describe('a fence', () => {
  const fencing = { id, cluster: 'main', phase: 'act' } as const
  test('is not needed for what was never sent', async () => {
    const { deps, done } = stage({ intent: { attempts: 0 } })
    expect(await fence(deps)(fencing)).toMatchObject({ fenced: 'not_sent' })
    expect(done).toEqual(['mark fencing', 'settle not_sent'])
  })
  test('stops further attempts first, then moves the target’s resourceVersion', async () => {
    const { deps, done } = stage({ intent: { attempts: 1 } })
    expect(await fence(deps)(fencing)).toMatchObject({ fenced: 'fenced' })
    expect(done).toEqual(['mark fencing', 'read', 'fence abandoned', 'settle fenced'])
  })
  test('finds out that the call had landed after all', async () => {
    const { deps, done } = stage({ intent: { attempts: 1 }, reads: [applied] })
    expect(await fence(deps)(fencing)).toMatchObject({ fenced: 'landed' })
    expect(done).toEqual(['mark fencing', 'read', 'settle applied'])
  })
  test('reads again when the call lands between its read and its write', async () => {
    const { deps, done } = stage({ intent: { attempts: 1 }, reads: [pinned, applied], fences: ['conflict'] })
    expect(await fence(deps)(fencing)).toMatchObject({ fenced: 'landed' })
    expect(done).toEqual(['mark fencing', 'read', 'fence abandoned', 'read', 'settle applied'])
  })
  test('of an undo is never taken for the undo itself', async () => {
    const { deps, done } = stage({ intent: { attempts: 1, phase: 'undo' }, reads: [applied] })
    expect(await fence(deps)({ ...fencing, phase: 'undo' })).toMatchObject({ fenced: 'fenced' })
    expect(done).toEqual(['mark fencing', 'read', 'fence abandoned', 'settle fenced'])
  })
  test('is refused for another cluster, where finding nothing would prove nothing', async () => {
    const { deps, done } = stage({ intent: { attempts: 1 }, cluster: 'edge' })
    await expect(fence(deps)(fencing)).rejects.toMatchObject({ code: 'other_cluster' })
    expect(done).toEqual([])
  })
  test('repeats what is known already', async () => {
    const { deps, done } = stage({ intent: { attempts: 1, result: 'applied' } })
    expect(await fence(deps)(fencing)).toMatchObject({ fenced: 'landed' })
    expect(done).toEqual([])
  })
})
