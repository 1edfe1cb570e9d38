/** A replay of generated decisions in a process of its own, so that its memory is its own: nothing is read, nothing is kept. */
import { simulation, type SimulationReport } from '../../domain/policy/simulate.ts'
import { compiled, drawnRequests } from '../policy-workload.ts'
import { candidates, inForce, type CandidateName } from './candidates.ts'

export type Task = { candidate: CandidateName; decisions: number }
export type Told = { done: number } | { seconds: number; peakRssBytes: number; report: SimulationReport }

const tellEvery = 100_000

process.once('message', ({ candidate, decisions }: Task) => {
  const run = simulation(compiled(inForce), compiled(candidates[candidate]))
  const start = performance.now()
  let done = 0
  for (const input of drawnRequests(decisions)) {
    run.add({ decisionId: `d${done}`, remediationId: `r${done % 1_000}`, input })
    done += 1
    if (done % tellEvery === 0) tell({ done })
  }
  const report = run.report()
  const told: Told = { seconds: (performance.now() - start) / 1000, peakRssBytes: process.resourceUsage().maxRSS * 1024, report }
  process.send?.(told, () => process.disconnect())
})

const tell = (told: Told): void => void process.send?.(told)
