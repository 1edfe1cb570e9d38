import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { RemediationView } from './aegis-api.ts'
import type { Incident } from './incidents.ts'

export type Played = { incident: Incident; view: RemediationView | undefined; problems: string[]; seconds: number }

export type Report = {
  incidents: {
    id: string
    name: string
    outcome: string
    verdict: string | null
    workflowId: string
    target: { namespace: string; kind: string; name: string }
    steps: { name: string; attempts: number; ms: number }[]
  }[]
  setUpSeconds: number
  seconds: number
  auditLog: string
}

export function writeReport(path: string, played: readonly Played[], figures: Pick<Report, 'setUpSeconds' | 'seconds' | 'auditLog'>): void {
  const incidents = played.flatMap(({ incident: { id, name }, view }) =>
    view ? [{ id, name, outcome: view.outcome ?? view.phase, verdict: view.verdict, workflowId: view.workflowId, target: targetOf(view), steps: stepsOf(view) }] : [],
  )
  const report: Report = { incidents, ...figures }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`)
}

const targetOf = ({ target: { namespace, kind, name } }: RemediationView) => ({ namespace, kind, name })

/** One line for each call of a step, in order; its attempts are those the ledger has. */
function stepsOf({ steps }: RemediationView): Report['incidents'][number]['steps'] {
  const calls = new Map<string, { name: string; attempts: number; ms: number }>()
  for (const { step, ordinal, attempt, durationMs } of steps) {
    const call = calls.get(`${step}/${ordinal}`) ?? { name: step, attempts: 0, ms: 0 }
    calls.set(`${step}/${ordinal}`, { name: step, attempts: Math.max(call.attempts, attempt), ms: call.ms + Math.round(durationMs) })
  }
  return [...calls.values()]
}
