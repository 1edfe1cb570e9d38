/** Plays crash points in batches: each remediation is brought to its own point, then one SIGKILL meets them all. */
import type { ActionName } from '../../domain/remediation.ts'
import { withResolvers, type Phase } from '../../sandbox/faults/traps.ts'
import type { FaultyAegis } from '../helpers/faulty-aegis.ts'
import { eventually } from '../helpers/stack.ts'
import { endState, handsOn, specState, type Subject } from '../helpers/subjects.ts'
import { calls, stopAt, undoCalls, type CallName, type CrashPoint, type Journey, type Stop } from './calls.ts'

const phases: readonly Phase[] = ['before_send', 'after_send', 'after_reply']

export const pointsOf = (actions: readonly ActionName[], callNames: readonly CallName[]): CrashPoint[] =>
  callNames.flatMap((call) => phases.flatMap((phase) => actions.map((action) => ({ action, call, phase }))))

export const nameOf = ({ action, call, phase }: CrashPoint): string => `${action} ${call} ${phase}`

export const inBatches = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size))

/** Asked for and accepted, and held at the worker's first look at the cluster, which it `waits` at, until `go`: traps can be laid in between. */
export type Begun = Journey & { waits: Promise<void>; go(): void }

export async function begin({ executor, operator }: FaultyAegis, { namespace, request }: Subject): Promise<Begun> {
  let go = () => undefined as void
  const gate = new Promise<void>((resolve) => (go = resolve))
  const waits = withResolvers<void>()
  executor.arm({ path: new RegExp(`/namespaces/${namespace}/`), phase: 'before_send' }, () => {
    waits.resolve()
    return gate
  })
  const id = await operator.remediate(request)
  return { id, namespace, waits: waits.promise, go }
}

const reachLimitMs = 40_000

/** The change makes things worse: its verification is held until that is so. */
export async function makeWorse(faulty: FaultyAegis, journey: Begun): Promise<Stop> {
  const verifying = stopAt(faulty, journey, { call: 'kubernetes health', phase: 'before_send' })
  journey.go()
  await within(reachLimitMs, `${journey.id} is verified`, verifying.reached)
  await handsOn(faulty.cluster, journey.namespace).spoil()
  return verifying
}

/** Brings each remediation to its point, kills the worker there, starts a new one and waits for all endings. */
export async function crashAt(faulty: FaultyAegis, batch: readonly { point: CrashPoint; subject: Subject }[]): Promise<Journey[]> {
  const { executor, postgres, temporal, worker, judge } = faulty
  const journeys = await Promise.all(batch.map(({ subject }) => begin(faulty, subject)))
  // They go together: who is held first must not outlast the time its own call has before the last is there.
  await Promise.all(journeys.map(({ id, waits }) => within(reachLimitMs, `${id} comes to its first call`, waits)))
  const stops = await Promise.all(
    batch.map(async ({ point }, index) => {
      const journey = journeys[index]!
      const worse = point.call in undoCalls ? await makeWorse(faulty, journey) : undefined
      const stop = stopAt(faulty, journey, point)
      if (worse) worse.letGo('pass')
      else journey.go()
      return { point, journey, stop }
    }),
  )
  try {
    await Promise.all(stops.map(({ point, stop, journey }) => within(reachLimitMs, `${journey.id} comes to: ${nameOf(point)}`, stop.reached)))
    await killed(worker)
    // The harness itself: what has reached the cluster by now is what the name of the point says.
    await Promise.all(stops.filter(({ point }) => !isTold(point)).map(({ point, journey }) =>
      eventually(`${nameOf(point)} met ${effectsBy(point)} effects`, () => judge.effectsOf(journey.id, journey.namespace).length === effectsBy(point))))
  } finally {
    for (const { stop } of stops) stop.letGo('cut')
    for (const proxy of [executor, postgres, temporal]) proxy.disarmAll()
    await killed(worker)
    await worker.start()
  }
  await Promise.all(stops.map(({ journey }) => judge.closed(journey.id)))
  return stops.map(({ journey }) => journey)
}

/** Once Temporal has the report it hands out the next step, whether or not the worker hears that it was taken. */
const isTold = ({ call, phase }: CrashPoint): boolean => call.startsWith('temporal') && phase === 'after_send'

const order = Object.keys(calls) as CallName[]
const undoOrder = Object.keys(undoCalls) as CallName[]

function effectsBy({ call, phase }: CrashPoint): number {
  const landed = (all: readonly CallName[], mutation: CallName) => all.indexOf(call) > all.indexOf(mutation) || (call === mutation && phase !== 'before_send')
  if (order.includes(call)) return landed(order, 'kubernetes mutate') ? 1 : 0
  return landed(undoOrder, 'kubernetes mutate(undo)') ? 2 : 1
}

export async function killed(worker: FaultyAegis['worker']): Promise<void> {
  const pid = worker.pid()
  worker.kill('SIGKILL')
  await eventually(`process ${pid} is gone`, () => !isAlive(pid))
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

export async function within<T>(limitMs: number, what: string, waited: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs / 1000} s in vain until ${what}`)), limitMs)
  })
  try {
    return await Promise.race([waited, late])
  } finally {
    clearTimeout(timer)
  }
}

/** All that must be the same whether or not a worker died on the way, by the judge's word. */
export async function recordOf({ judge, cluster }: FaultyAegis, { id, namespace }: Journey, stateOf: typeof endState | typeof specState = endState) {
  await judge.ledgerIsWhole(id)
  await judge.intentsCameFirst(id, namespace)
  const { outcome, reason, verdict, source } = await judge.closed(id)
  const effects = judge.effectsOf(id, namespace).map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}/${objectRef?.subresource ?? ''}`)
  const intents = (await judge.intents(id)).map(({ phase, state, result }) => [phase, state, presumedIsApplied(result)])
  return {
    ending: { outcome, reason, verdict, source },
    effects,
    effectsOfStrangers: judge.effects(namespace).length - effects.length,
    fences: judge.stamps(namespace).length,
    intents,
    state: await stateOf(cluster, { namespace }, id),
  }
}

/** A pod that is gone carries no stamp: whoever did not hear the answer can only presume. Both mean one effect. */
const presumedIsApplied = (result: string | null): string | null => (result === 'presumed' ? 'applied' : result)
