import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { randomUUID } from 'node:crypto'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { reserve } from '../../../adapters/postgres/reserve.ts'
import type { Budget } from '../../../domain/guards/disruption.ts'
import { admit, type LimitEntry, type LimitRule } from '../../../domain/limits.ts'
import type { ActionName } from '../../../domain/remediation.ts'
import { playsAll, seed } from '../../helpers/draw.ts'
import { freshId, openDatabase, reservationOf, started, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

/** What happens to a fleet: someone asks, an effect lands, a run ends without one, time passes. */
type Command =
  | { is: 'ask'; namespace: number; workload: number; action: ActionName; undo: boolean; pods: number }
  | { is: 'land' | 'give_up'; which: number }
  | { is: 'later'; seconds: number }

const ask = fc.record({
  is: fc.constant('ask' as const), namespace: fc.integer({ min: 0, max: 1 }), workload: fc.integer({ min: 0, max: 2 }),
  action: fc.constantFrom<ActionName>('scale_deployment', 'restart_pod'), undo: fc.boolean(), pods: fc.integer({ min: 0, max: 2 }),
})
const command = fc.oneof(
  { weight: 4, arbitrary: ask },
  { weight: 3, arbitrary: fc.record({ is: fc.constantFrom('land' as const, 'give_up' as const), which: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('later' as const), seconds: fc.integer({ min: 1, max: 6 }).map((tens) => tens * 10) }) },
)

/** Windows end between the tens of seconds in which time passes, so that the milliseconds a run takes decide nothing. */
const settings = fc.record({ scales: fc.integer({ min: 1, max: 4 }), any: fc.integer({ min: 1, max: 5 }), mine: fc.integer({ min: 1, max: 3 }), pods: fc.integer({ min: 1, max: 3 }) })
type Settings = { scales: number; any: number; mine: number; pods: number }
const rulesOf = ({ scales, any, mine }: Settings): LimitRule[] => [
  { key: 'scale', action: 'scale_deployment', scope: 'namespace', limit: scales, windowMs: 25_000 },
  { key: 'any', action: '*', scope: 'cluster', limit: any, windowMs: 55_000 },
  { key: 'mine', action: '*', scope: 'workload', limit: mine, windowMs: 35_000 },
]
const podsWindowMs = 45_000

type Taken = LimitEntry & { key: string; phase: 'act' | 'undo' }
type Held = { id: string; workload: string; entries: Taken[] }

/** The pure rule, over everything at once. */
class Model {
  nowMs = 0
  /** Of all that was ever admitted: what still may land, and what did. */
  entries: Taken[] = []
  held = new Map<string, Held>()
  effects: { key: string; atMs: number; amount: number }[] = []
}

type Wanted = { rules: { key: string; limit: number; windowMs: number; amount: number }[] }

function wantedBy({ namespace, workload, action, undo, pods }: Extract<Command, { is: 'ask' }>, settings: Settings): Wanted {
  const scopes = { namespace: `${namespace}`, cluster: '', workload: `${namespace}/${workload}` }
  const counted = rulesOf(settings).filter((rule) => rule.action === '*' || rule.action === action)
    .map((rule) => ({ key: `${rule.key}:${scopes[rule.scope]}`, limit: rule.limit, windowMs: rule.windowMs, amount: undo ? 2 : 1 }))
  return { rules: [...counted, ...(pods > 0 ? [{ key: `pods:${namespace}`, limit: settings.pods, windowMs: podsWindowMs, amount: pods }] : [])] }
}

async function play(commands: readonly Command[], settings: Settings): Promise<void> {
  const cluster = `c-${randomUUID()}`
  const model = new Model()
  for (const one of commands) {
    if (one.is === 'ask') await asks(one)
    else if (one.is === 'later') await passes(one.seconds * 1_000)
    else await ends(one.is, [...model.held.values()][one.which % Math.max(1, model.held.size)])
    holds(model, settings)
  }

  async function asks(one: Extract<Command, { is: 'ask' }>) {
    const workload = { cluster, namespace: `${one.namespace}`, kind: 'Deployment', name: `${one.workload}`, uid: 'u' }
    const place = `${one.namespace}/${one.workload}`
    const { rules } = wantedBy(one, settings)
    const expected = !model.held.has(place) && rules.every((rule) => admit(model.entries.filter(({ key }) => key === rule.key), rule, rule.amount, model.nowMs).admitted)
    const budgets: Budget[] = one.pods > 0 ? [{ name: 'pods', scope: 'namespace', amount: one.pods, limit: settings.pods, windowMs: podsWindowMs }] : []
    const id = await started(db)
    const answer = await reserve(db.decision, reservationOf(id, { workload, action: one.action, limits: rulesOf(settings), undo: one.undo, budgets }))
    expect({ one, admitted: answer.reserved }).toEqual({ one, admitted: expected })
    if (!expected) return
    const entries = rules.flatMap(({ key, amount }): Taken[] =>
      key.startsWith('pods') ? [{ key, phase: 'act', amount, effectAtMs: null }] : (['act', 'undo'] as const).slice(0, amount).map((phase) => ({ key, phase, amount: 1, effectAtMs: null })))
    model.entries.push(...entries)
    model.held.set(place, { id, workload: place, entries })
  }

  async function ends(how: 'land' | 'give_up', run: Held | undefined) {
    if (!run) return
    if (how === 'land') {
      await db.owner.raw(`update ledger.reservation set effect_at = clock_timestamp() where id = ? and phase = 'act'`, [run.id])
      for (const entry of run.entries) {
        if (entry.phase !== 'act') continue
        entry.effectAtMs = model.nowMs
        model.effects.push({ key: entry.key, atMs: model.nowMs, amount: entry.amount })
      }
    }
    const ending = { outcome: 'cancelled', reason: 'r', message: 'm', verdict: null } as const
    await closeRemediation(db.decision, { id: run.id, ending, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
    model.entries = model.entries.filter((entry) => !run.entries.includes(entry) || entry.effectAtMs !== null)
    model.held.delete(run.workload)
  }

  async function passes(ms: number) {
    model.nowMs += ms
    await db.owner.raw(`update ledger.reservation set effect_at = effect_at - ?::bigint * interval '1 ms' where key like ?`, [ms, `%${cluster}%`])
  }
}

/** No window that holds an effect holds more than its limit. */
function holds({ effects }: Model, settings: Settings) {
  const bounds = [...rulesOf(settings).map(({ key, limit, windowMs }) => ({ key, limit, windowMs })), { key: 'pods', limit: settings.pods, windowMs: podsWindowMs }]
  for (const { key, atMs } of effects) {
    const bound = bounds.find((one) => key.startsWith(`${one.key}:`))!
    const inWindow = effects.filter((effect) => effect.key === key && effect.atMs >= atMs && effect.atMs < atMs + bound.windowMs)
    expect(inWindow.reduce((sum, { amount }) => sum + amount, 0)).toBeLessThanOrEqual(bound.limit)
  }
}

test('whatever is asked, lands, is given up and however time passes, the database admits what the rule admits, and no window exceeds any limit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 14 }), settings, play),
    { numRuns: playsAll ? 1_000 : 40, seed, endOnFailure: true },
  )
}, playsAll ? 900_000 : 90_000)
