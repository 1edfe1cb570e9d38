import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { CandidateName } from './candidates.ts'
import type { Told } from './child.ts'

export type Replay = { seconds: number; peakRssBytes: number; decisions: number; changed: number }

const limitMs = 10 * 60_000

/** `candidate` against the policies in force, over generated decisions. Throws when it is not done in ten minutes. */
export function replayGenerated(candidate: CandidateName, decisions: number, progress: (done: number) => void): Promise<Replay> {
  const child = fork(join(import.meta.dirname, 'child.ts'), { execArgv: ['--import', 'tsx'] })
  return new Promise<Replay>((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    child.on('message', (told: Told) => {
      if ('done' in told) return progress(told.done)
      const { seconds, peakRssBytes, report } = told
      resolve({ seconds, peakRssBytes, decisions: report.decisions, changed: report.decisions - report.unchanged })
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      reject(new Error(`the replay ended with ${signal ?? code} before it had reported`))
    })
    child.send({ candidate, decisions })
  })
}
