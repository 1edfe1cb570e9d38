import { Worker } from 'node:worker_threads'
import { Failure } from '../domain/failure.ts'
import type { DoneOf, PolicyJob } from './policy-jobs.ts'

/** One more would leave the API itself no room on a small machine. */
const mostThreads = 2
const limitMs = 30_000
const memoryLimitMb = 512

let running = 0

/**
 * Does a job beside the API, which answers everybody else meanwhile. Throws `Failure('limited')` where others are at
 * it, and where it takes too long or too much memory; the thread ends then, whatever it is at.
 */
export async function aside<Job extends PolicyJob>(job: Job): Promise<DoneOf<Job>> {
  if (running >= mostThreads) throw new Failure('limited', 'policy_jobs_busy', `${mostThreads} jobs of this kind are under way: try again in a moment`)
  running += 1
  const thread = new Worker(new URL('policy-thread.mjs', import.meta.url), { workerData: job, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: memoryLimitMb } })
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<DoneOf<Job>>((resolve, reject) => {
      timer = setTimeout(() => reject(tooMuch(`took longer than ${limitMs / 1000} s`)), limitMs)
      thread.once('message', resolve)
      thread.once('error', (failure: Error & { code?: string }) => reject(failure.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooMuch(`took more than ${memoryLimitMb} MiB`) : failure))
    })
  } finally {
    clearTimeout(timer)
    running -= 1
    await thread.terminate()
  }
}

const tooMuch = (what: string): Failure => new Failure('limited', 'policy_job_too_large', `this ${what}: send fewer policies or tests at a time`)
