import { Registry } from '../../adapters/metrics.ts'
import { createLogger } from '../../adapters/log.ts'
import { keepGuard, type Guard } from './keep.ts'
import { createGuardMetrics } from './metrics.ts'
import type { Round } from './round.ts'

const calm: Round = { inForce: 0, pending: 0, kept: [] }
const guards: Guard[] = []
afterEach(() => Promise.all(guards.splice(0).map((guard) => guard.stop())))

/** A guard over rounds that are given; the last one is given again and again. */
function keep(...rounds: (Round | Error)[]) {
  const lines: string[] = []
  const registry = new Registry()
  const log = createLogger({ name: 'test', level: 'info', destination: { write: (line) => void lines.push(line) } })
  let done = 0
  const round = async () => {
    const next = rounds[Math.min(done++, rounds.length - 1)] ?? calm
    if (next instanceof Error) throw next
    return next
  }
  const guard = keepGuard({ cluster: 'main', round, log, metrics: createGuardMetrics(registry).of('main') })
  guards.push(guard)
  return { guard, lines, registry, rounds: () => done }
}

const until = async (is: () => boolean, limitMs = 3_000): Promise<void> => {
  for (const untilMs = Date.now() + limitMs; !is(); ) {
    if (Date.now() > untilMs) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a guard that was never round is not ready, and says what stands in the way', async () => {
  const { guard, rounds } = keep(new Error('cluster `main` cannot be reached'))
  await until(() => rounds() === 1)
  await until(() => !guard.ready().ok && guard.ready().reason === 'cluster `main` cannot be reached')
})

test('a wake is never slept through, also one that comes while a round is under way', async () => {
  const { guard, rounds } = keep(calm)
  guard.wake()
  await until(() => rounds() === 2, 500)
  expect(guard.ready()).toEqual({ ok: true })
})

test('while something is not proven the next look comes at once', async () => {
  const { rounds } = keep({ ...calm, pending: 1 })
  await until(() => rounds() > 5, 900)
})

test('what goes wrong is told once, and not again until it goes wrong otherwise', async () => {
  const { guard, lines, rounds } = keep(new Error('one'), new Error('one'), new Error('two'), calm)
  for (let round = 1; round < 4; round++) {
    await until(() => rounds() === round)
    guard.wake()
  }
  await until(() => rounds() >= 4)
  expect(lines.filter((line) => line.includes('a round of the guard failed'))).toHaveLength(2)
})

test('a freeze that the database does not know is told of as an error, and counted', async () => {
  const { lines, registry, rounds } = keep({ ...calm, kept: [{ freezeId: 'f', keys: ['freeze.all'] }] })
  await until(() => rounds() === 1 && lines.length > 0)
  expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ level: 'error', cluster: 'main' })
  expect(await registry.metrics()).toMatch(/aegis_guard_kept\{cluster="main"\} 1/)
})

test('the age of the last round grows while no round is done', async () => {
  const { registry, rounds } = keep(new Error('gone'))
  await until(() => rounds() === 1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const [, seconds] = /aegis_guard_last_round_seconds\{cluster="main"\} ([\d.]+)/.exec(await registry.metrics()) ?? []
  expect(Number(seconds)).toBeGreaterThanOrEqual(0.04)
})
