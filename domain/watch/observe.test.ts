import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { PodFacts, WorkloadFacts } from './facts.ts'
import type { Incident } from './incident.ts'
import { keepOpen, nothingSeen, observe, putBack, remindEveryMs, usualLooks, type Observed, type WatchRules, type WatchState } from './observe.ts'

const { looks: looksNeeded, freshMs } = usualLooks

const start = 1_800_000_000_000
const tickMs = 2_000
const dwellMs = 10_000

const rules: WatchRules = {
  dwellMs: { stuck_rollout: dwellMs, crash_loop: dwellMs, image_pull: dwellMs, oom_killed: dwellMs, never_ready: 60_000, stuck_pod: dwellMs },
  acts: ({ fault }) => fault !== 'never_ready',
  ...usualLooks,
  majorityStopPercent: 0,
  requestsPerMinute: 30,
  isoTime: (ms) => new Date(ms).toISOString(),
}

type Shape = 'healthy' | 'crashing' | 'hanging' | 'rolling'

const pod = (workload: string, index: number, shape: Shape): PodFacts => ({
  name: `${workload}-${index}`, uid: `${workload}-pod-${index}`, revision: shape === 'rolling' ? 'old' : 'new', phase: 'Running', createdAtMs: start - 3_600_000,
  terminating: false, ignored: false, onReadyNode: true,
  ready: shape === 'healthy', unreadySinceMs: shape === 'healthy' ? null : start, wasReady: shape === 'hanging',
  containers: [{
    name: 'app', ready: shape === 'healthy', running: shape !== 'crashing', restarts: shape === 'crashing' ? 5 : 0,
    waiting: shape === 'crashing' ? 'CrashLoopBackOff' : null, ended: null,
  }],
})

const workload = (name: string, shape: Shape, readAtMs: number, pods = 3): WorkloadFacts => ({
  cluster: 'main', namespace: 'shop', kind: 'Deployment', name, uid: `uid-${name}`, ignored: false, desired: pods, readAtMs,
  rollout: {
    observed: true, paused: false, complete: shape !== 'rolling', stuckAtMs: null, revision: 'new', revisionId: 'new@2',
    startedAtMs: start - 7_200_000, hasEarlier: true,
  },
  pods: Array.from({ length: pods }, (_, index) => pod(name, index, index === 0 || shape === 'crashing' ? shape : 'healthy')),
})

type View = Record<string, Shape>

/** One view every two seconds; what each look brought, and the state at the end. */
function watch(views: readonly View[], settings: WatchRules = rules, from: WatchState = nothingSeen, startMs = start) {
  let state = from
  const looks: Observed[] = []
  views.forEach((view, index) => {
    const nowMs = startMs + index * tickMs
    const seen = observe(state, Object.entries(view).map(([name, shape]) => workload(name, shape, nowMs)), nowMs, settings)
    state = seen.state
    looks.push(seen)
  })
  const all = (pick: (look: Observed) => Incident[]) => looks.flatMap(pick).map(({ fault, workload: { name } }) => `${name} ${fault}`)
  return { state, looks, raised: all(({ raise }) => raise), cleared: all(({ clear }) => clear), reminded: all(({ remind }) => remind) }
}

const repeat = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

test('a fault that lasts is raised once, however many pods show it', () => {
  expect(watch(repeat(60, { web: 'crashing', api: 'healthy' })).raised).toEqual(['web crash_loop'])
})

test('it is raised when its dwell is over, and not a look before', () => {
  const { looks } = watch(repeat(8, { web: 'crashing' }))
  expect(looks.findIndex(({ raise }) => raise.length > 0)).toBe(dwellMs / tickMs)
})

test('a fault that the objects prove to be old still needs three fresh looks', () => {
  const { looks } = watch(repeat(8, { web: 'hanging' }), rules, nothingSeen, start + 3_600_000)
  expect(looks.findIndex(({ raise }) => raise.length > 0)).toBe(looksNeeded - 1)
})

test('looks in quick succession count as one', () => {
  const facts = (ms: number) => [workload('web', 'hanging', ms)]
  let state = nothingSeen
  for (let index = 0; index < 50; index++) {
    const seen = observe(state, facts(start + 3_600_000 + index * 10), start + 3_600_000 + index * 10, rules)
    expect(seen.raise).toEqual([])
    state = seen.state
  }
})

test('a view that is old raises nothing and clears nothing', () => {
  const { state } = watch(repeat(10, { web: 'crashing' }))
  const later = start + 3_600_000
  const stale = (shape: Shape, nowMs: number) => [workload('web', shape, nowMs - freshMs - 1)]
  let followed = state
  for (let nowMs = later; nowMs < later + 10 * tickMs; nowMs += tickMs) {
    const seen = observe(followed, stale('healthy', nowMs), nowMs, rules)
    expect(seen.clear).toEqual([])
    followed = seen.state
  }
  expect(observe(nothingSeen, stale('crashing', later), later, rules).state.cases.size).toBe(0)
})

test('a gap in looking starts the dwell again', () => {
  const { state } = watch(repeat(4, { web: 'crashing' }))
  const after = watch(repeat(8, { web: 'crashing' }), rules, state, start + freshMs * 4)
  expect(after.looks.findIndex(({ raise }) => raise.length > 0)).toBe(dwellMs / tickMs)
})

test('looks before a gap do not count, however old the fault is', () => {
  const old = start + 3_600_000
  const { state } = watch(repeat(looksNeeded - 1, { web: 'hanging' }), rules, nothingSeen, old)
  const after = watch(repeat(looksNeeded, { web: 'hanging' }), rules, state, old + freshMs * 4)
  expect(after.looks.findIndex(({ raise }) => raise.length > 0)).toBe(looksNeeded - 1)
})

test('it is cleared when three looks no longer find it, and when its workload is gone', () => {
  const views: View[] = [...repeat(10, { web: 'crashing' as const }), ...repeat(5, { web: 'healthy' as const })]
  expect(watch(views).cleared).toEqual(['web crash_loop'])
  expect(watch([...repeat<View>(10, { web: 'crashing' }), ...repeat<View>(5, {})]).cleared).toEqual(['web crash_loop'])
  expect(watch([...repeat<View>(10, { web: 'crashing' }), ...repeat<View>(2, { web: 'healthy' }), ...repeat<View>(10, { web: 'crashing' })]).cleared).toEqual([])
})

test('two watchers that start apart make the same request', () => {
  const one = watch(repeat(30, { web: 'crashing', cart: 'hanging' }))
  const other = watch(repeat(30, { web: 'crashing', cart: 'hanging' }), rules, nothingSeen, start + 7_777)
  const keys = (looks: Observed[]) => looks.flatMap(({ raise }) => raise.map(({ key }) => key)).sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1))
  expect(keys(one.looks)).toHaveLength(2)
  expect(keys(other.looks)).toEqual(keys(one.looks))
})

test('a fault that was raised is remembered to whoever may try again, once a minute', () => {
  const minutesLong = 5
  const { reminded } = watch(repeat((minutesLong * 60_000) / tickMs, { web: 'crashing' }))
  expect(reminded).toHaveLength(minutesLong - 1)
  expect(remindEveryMs).toBe(60_000)
})

test('an unhealthy majority asks for nothing, and asks again when it is over', () => {
  const guarded = { ...rules, majorityStopPercent: 40 }
  const bad: View = { a: 'crashing', b: 'crashing', c: 'healthy', d: 'healthy', e: 'healthy' }
  const stopped = watch(repeat(30, bad), guarded)
  expect(stopped.raised).toEqual([])
  expect(stopped.state.majority).toEqual({ stopped: true, failing: 2, watched: 5 })
  expect(stopped.looks.at(-1)?.held).toHaveLength(2)
  const later = watch(repeat(3, { ...bad, a: 'healthy' }), guarded, stopped.state, start + 30 * tickMs)
  expect(later.raised).toEqual(['b crash_loop'])
})

test.each<[string, number, View, string[]]>([
  ['two workloads are no crowd', 40, { a: 'crashing', b: 'crashing' }, ['a crash_loop', 'b crash_loop']],
  ['one of three is under the bar', 40, { a: 'crashing', b: 'healthy', c: 'healthy' }, ['a crash_loop']],
  ['two of three are over it', 40, { a: 'crashing', b: 'crashing', c: 'healthy' }, []],
  ['100 stops only when all fail', 100, { a: 'crashing', b: 'crashing', c: 'healthy' }, ['a crash_loop', 'b crash_loop']],
  ['0 switches it off', 0, { a: 'crashing', b: 'crashing', c: 'crashing' }, ['a crash_loop', 'b crash_loop', 'c crash_loop']],
])('%s', (_name, majorityStopPercent, view, expected) => {
  expect(watch(repeat(10, view), { ...rules, majorityStopPercent }).raised).toEqual(expected)
})

test('a storm is let through at the pace that is allowed, and none of it is lost', () => {
  const storm: View = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`web${index}`, 'crashing' as const]))
  const { looks, raised } = watch(repeat(180, storm), { ...rules, requestsPerMinute: 20 })
  expect(new Set(raised).size).toBe(100)
  expect(raised).toHaveLength(100)
  expect(looks[dwellMs / tickMs]?.state.waiting).toBe(80)
  looks.forEach((_, index) => {
    const minute = looks.slice(Math.max(0, index - 29), index + 1)
    expect(minute.reduce((sum, { raise }) => sum + raise.length, 0)).toBeLessThanOrEqual(20)
  })
})

test('incidents that lead to no action pass a storm that holds others', () => {
  const views: View[] = repeat(40, { a: 'crashing', b: 'crashing', c: 'crashing' })
  expect(watch(views, { ...rules, acts: () => false, requestsPerMinute: 1, majorityStopPercent: 40 }).raised).toHaveLength(3)
})

test('what could not be handed over is raised again, and an end as well', () => {
  const view: View = { web: 'crashing' }
  const first = watch(repeat(6, view))
  const [incident] = first.looks.at(-1)?.raise ?? []
  if (!incident) throw new Error('nothing was raised')
  expect(watch([view], rules, putBack(first.state, incident), start + 6 * tickMs).raised).toEqual(['web crash_loop'])

  const ended = watch(repeat<View>(3, { web: 'healthy' }), rules, first.state, start + 6 * tickMs)
  expect(ended.cleared).toEqual(['web crash_loop'])
  const kept = keepOpen(ended.state, incident, start + 9 * tickMs)
  expect(watch([{ web: 'healthy' }], rules, kept, start + 10 * tickMs).cleared).toEqual(['web crash_loop'])
})

const anyShape = fc.constantFrom<Shape>('healthy', 'crashing', 'rolling')

test('a fault that breaks off within its dwell is never raised', () => {
  const shorterThanDwell = fc.array(fc.integer({ min: 1, max: dwellMs / tickMs }), { minLength: 1, maxLength: 12 })
  fc.assert(fc.property(shorterThanDwell, (spells) => {
    const views = spells.flatMap((length): View[] => [...repeat<View>(length, { web: 'crashing' }), { web: 'healthy' }])
    expect(watch(views).raised).toEqual([])
  }))
})

test('whatever happens, an incident is raised at most once until it is cleared', () => {
  fc.assert(fc.property(fc.array(anyShape, { maxLength: 80 }), (shapes) => {
    const { looks } = watch(shapes.map((web): View => ({ web })))
    let open = false
    for (const { raise, clear } of looks) {
      if (clear.length > 0) open = false
      for (const _ of raise) {
        expect(open).toBe(false)
        open = true
      }
    }
  }))
})

test('the order in which workloads are listed is irrelevant', () => {
  const view = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.constantFrom<Shape>('healthy', 'crashing', 'hanging', 'rolling'))
  fc.assert(fc.property(fc.array(view, { maxLength: 20 }), (views) => {
    const turned = views.map((each): View => Object.fromEntries(Object.entries(each).reverse()))
    const guarded = { ...rules, majorityStopPercent: 60, requestsPerMinute: 3 }
    expect(watch(turned, guarded).raised).toEqual(watch(views, guarded).raised)
  }))
})

test('a rollout in progress raises nothing', () => {
  expect(watch(repeat(200, { web: 'rolling' })).raised).toEqual([])
})
