/** The same replay as a client of a real API asks for it, over decisions in a real PostgreSQL. */
import { readFileSync, writeFileSync } from 'node:fs'
import { decide } from '../../domain/policy/decide.ts'
import { canonicalJson } from '../../domain/canonical.ts'
import type { SimulationReport } from '../../domain/policy/simulate.ts'
import pg from 'pg'
import type { PolicyGround } from '../policy-ground.ts'
import { compiled, requests } from '../policy-workload.ts'
import { candidates, inForce, type CandidateName } from './candidates.ts'
import type { Replay } from './pure.ts'

/** Different questions; each is then stored at many different times. */
const questions = 10_000
const perStatement = 500

/** Makes the decisions on record: inputs, decisions and rows as large as real ones, each with a clock of its own. */
export async function fillHistory({ ownerUrl }: PolicyGround, decisions: number): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  try {
    await client.query(requestRows)
    await client.query('create temporary table question (input text not null, decision text not null)')
    const snapshot = compiled(inForce)
    const rows = requests(questions).map((input) => [canonicalJson({ ...input, now: 0 }), canonicalJson(decide(snapshot, input))] as const)
    for (let from = 0; from < rows.length; from += perStatement) {
      const page = rows.slice(from, from + perStatement)
      await client.query('insert into question select * from unnest($1::text[], $2::text[])', [page.map(([input]) => input), page.map(([, decision]) => decision)])
    }
    for (let turn = 0; turn * questions < decisions; turn++) await client.query(decisionRows, [turn, Math.min(questions, decisions - turn * questions)])
    await client.query('analyze ledger.decision')
  } finally {
    await client.end()
  }
}

const requestRows = `
  insert into ledger.request (id, door, principal, principal_id, owner, action, cluster, namespace, kind, name, parameters, reason, severity, attempt, deadline_ms, deadline_at)
  select gen_random_uuid(), 'watcher', '{}', 'watcher', 'platform', 'scale_deployment', 'c0', 'ns0', 'Deployment', 'app-0', '{}', 'benchmark', 'high', 1, 1000, now()
  from generate_series(1, 1000)`

/** One row for each question: a minute of its own, three weeks from the first to the last of a million. */
const decisionRows = `
  insert into ledger.decision (decision_id, id, plan_digest, input, decision, proceed, decided_at)
  select gen_random_uuid(), r.id, 'sha256:0', replace(q.input, '"now":0', '"now":' || 1767225600000 + (($1::bigint * 7919 + q.place * 61) % 525600) * 60000),
    q.decision, 'deny', now() - interval '40 days' + make_interval(secs => ($1::int * ${questions} + q.place) * 2)
  from (select *, row_number() over () as place from question limit $2) q
  join (select id, row_number() over () as place from ledger.request) r on r.place = 1 + q.place % 1000`

type Line = { progress?: { done: number; total: number }; report?: SimulationReport; problem?: { detail?: string } }

export async function replayStored({ url, apiKey, apiPid }: PolicyGround, candidate: CandidateName, progress: (done: number) => void): Promise<Replay> {
  const peak = peakRssOf(apiPid)
  const start = performance.now()
  const response = await fetch(`${url}/api/v1/policy/simulate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ candidate: { policies: candidates[candidate] } }),
  })
  if (!response.ok || !response.body) throw new Error(`the API answered ${response.status}: ${await response.text()}`)
  let report: SimulationReport | undefined
  for await (const line of linesOf(response.body)) {
    if (line.problem) throw new Error(`the replay was broken off: ${line.problem.detail ?? JSON.stringify(line.problem)}`)
    if (line.progress) progress(line.progress.done)
    report = line.report ?? report
  }
  if (!report) throw new Error('the replay ended without a report')
  return { seconds: (performance.now() - start) / 1000, peakRssBytes: peak(), decisions: report.decisions, changed: report.decisions - report.unchanged }
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield JSON.parse(line) as Line
  }
}

/** The most memory a process has held from now on, from /proc; 0 where there is none. */
function peakRssOf(pid: number): () => number {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5') // begins the peak anew
    return () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024
  } catch {
    return () => 0
  }
}
