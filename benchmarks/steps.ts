import { rows } from '../adapters/postgres/sql.ts'
import { round } from './figures.ts'
import type { Ground } from './ground.ts'
import type { Course } from './remediations.ts'
import { quantile, type BenchRow } from './report.ts'

/** The way to the mutation, in order. */
const steps = ['detect', 'plan', 'preflight', 'evaluatePolicy', 'reserve', 'issueWarrant', 'validateSignature', 'recordIntent', 'executeAction'] as const
type Step = (typeof steps)[number]

type StepTimes = { startMs: number; endMs: number }
type StepRow = { stream: string; step: string; started_at: string; ended_at: string }

/**
 * Where the time goes, from the ledger's own entries: how long each step worked, and how long the run
 * waited before it (the entry of the step before, Temporal, the queue). The last step counts up to its call.
 */
export async function stepRows({ db }: Pick<Ground, 'db'>, courses: readonly Course[]): Promise<BenchRow[]> {
  const times = await stepTimes(db, courses)
  const [waits, works] = [newLists(), newLists()]
  for (const { id, acceptedMs, mutatedMs } of courses) {
    const own = times.get(id)
    if (!own || mutatedMs === undefined) continue
    let lastMs = acceptedMs
    for (const step of steps) {
      const time = own.get(step)
      if (!time) break // it was not taken, or is not on record: what follows would be told wrongly
      const endMs = step === 'executeAction' ? mutatedMs : time.endMs
      waits[step].push(time.startMs - lastMs)
      works[step].push(endMs - time.startMs)
      lastMs = endMs
    }
  }
  const total = (lists: Record<Step, number[]>) => steps.reduce((sum, step) => sum + median(lists[step]), 0)
  return [
    ...steps.flatMap((step) => [row(`wait before ${step}`, median(waits[step])), row(step === 'executeAction' ? `${step}, up to the call` : step, median(works[step]))]),
    row('all waits', total(waits)),
    row('all steps', total(works)),
  ]
}

const row = (metric: string, value: number): BenchRow => ({ case: 'where the time goes, p50', metric, value: round(value), unit: 'ms' })

const newLists = () => Object.fromEntries(steps.map((step) => [step, []])) as unknown as Record<Step, number[]>
const median = (values: readonly number[]): number => quantile(Float64Array.from(values).sort(), 0.5)

/** The first successful attempt of each step of each remediation. */
async function stepTimes(db: Ground['db'], courses: readonly Course[]): Promise<Map<string, Map<string, StepTimes>>> {
  const found = await rows<StepRow>(
    db,
    `select stream, body ->> 'step' as step, body ->> 'startedAt' as started_at, body ->> 'endedAt' as ended_at
     from ledger.audit_event, lateral (select (entry::jsonb) -> 'body' as body) told
     where stream = any(:ids) and kind = 'step' and body ->> 'result' = 'ok' order by seq`,
    { ids: courses.map(({ id }) => id) },
  )
  const times = new Map<string, Map<string, StepTimes>>()
  for (const { stream, step, started_at, ended_at } of found) {
    const own = times.get(stream) ?? new Map<string, StepTimes>()
    times.set(stream, own)
    if (!own.has(step)) own.set(step, { startMs: Date.parse(started_at), endMs: Date.parse(ended_at) })
  }
  return times
}
