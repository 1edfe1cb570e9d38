import { setTimeout as sleep } from 'node:timers/promises'
import { rows } from '../adapters/postgres/sql.ts'
import type { Ground } from './ground.ts'
import type { Scale } from './targets.ts'

/** What became of one remediation. Epoch milliseconds; `accepted` by the database, `mutated` and `answered` by the API server. */
export type Course = {
  id: string
  acceptedMs: number
  mutatedMs: number | undefined
  answeredMs: number | undefined
  closedMs: number | undefined
  outcome: string | undefined
}

/** Asks through the front door. Resolves with the id when the request is committed. */
export const ask = ({ api }: Pick<Ground, 'api'>, { namespace, name, replicas }: Scale): Promise<string> =>
  api.remediate({ action: 'scale_deployment', target: { namespace, kind: 'Deployment', name }, parameters: { replicas }, reason: 'benchmark' })

/** Open loop: one request every 1/`perSecond` s, whether or not the ones before are answered. */
export async function askSteadily(ground: Ground, perSecond: number, seconds: number): Promise<string[]> {
  const startMs = performance.now()
  const asked: Promise<string>[] = []
  for (let index = 0; index < perSecond * seconds; index++) {
    await sleep(Math.max(0, startMs + (index * 1000) / perSecond - performance.now()))
    const asking = ask(ground, ground.targets.next())
    asking.catch(() => undefined) // reported below; until then a rejection is not unhandled
    asked.push(asking)
  }
  return Promise.all(asked)
}

const pollMs = 200

/** Waits until none of them is in a phase before `closed`; says how many are when the time is over. */
export const untilClosed = (ground: Pick<Ground, 'db'>, ids: readonly string[], limitMs: number): Promise<void> =>
  untilNone(ground, ids, `phase <> 'closed'`, 'still open', limitMs)

export const untilWaiting = (ground: Pick<Ground, 'db'>, ids: readonly string[], limitMs: number): Promise<void> =>
  untilNone(ground, ids, `phase <> 'awaiting_approval'`, 'not yet waiting for approval', limitMs)

async function untilNone({ db }: Pick<Ground, 'db'>, ids: readonly string[], condition: string, what: string, limitMs: number): Promise<void> {
  const deadline = Date.now() + limitMs
  for (;;) {
    const [row] = await rows<{ left: number }>(db, `select count(*)::integer as left from ledger.request where id = any(:ids::uuid[]) and ${condition}`, { ids: [...ids] })
    if (row?.left === 0) return
    if (Date.now() > deadline) throw new Error(`${row?.left} of ${ids.length} remediations were ${what} after ${limitMs / 1000} s`)
    await sleep(pollMs)
  }
}

type CourseRow = { id: string; accepted_ms: number; closed_ms: number | null; outcome: string | null }

/** In the order of acceptance. */
export async function coursesOf({ db, judge }: Pick<Ground, 'db' | 'judge'>, ids: readonly string[]): Promise<Course[]> {
  const found = await rows<CourseRow>(
    db,
    `select r.id, (extract(epoch from r.accepted_at) * 1000)::float8 as accepted_ms, (extract(epoch from t.closed_at) * 1000)::float8 as closed_ms, t.outcome
     from ledger.request r left join ledger.terminal t using (id) where r.id = any(:ids::uuid[]) order by r.accepted_at`,
    { ids: [...ids] },
  )
  const mutations = judge.mutations()
  return found.map(({ id, accepted_ms: acceptedMs, closed_ms, outcome }) => {
    const mutation = mutations.get(id)
    return { id, acceptedMs, mutatedMs: mutation?.receivedMs, answeredMs: mutation?.answeredMs, closedMs: closed_ms ?? undefined, outcome: outcome ?? undefined }
  })
}
