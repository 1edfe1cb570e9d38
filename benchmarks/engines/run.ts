import { fork } from 'node:child_process'
import { join } from 'node:path'
import { catalogue } from './catalogue.ts'
import type { Result, Task } from './child.ts'
import type { Figures } from './measure.ts'
import { load } from './reference.ts'
import { policies, published, requests, type Outcome, type sizes } from './workload.ts'

export type Size = (typeof sizes)[number]

const limitMs = 120_000

/** What the reference says to every request; throws when it is not what was published for this size. */
export function expectedOutcomes(size: Size): Outcome[] {
  const { decide } = load(policies(size))
  const outcomes = requests().map((request) => decide(request) as Outcome)
  for (const [outcome, count] of Object.entries(published[size])) {
    const found = outcomes.filter((each) => each === outcome).length
    if (found !== count) throw new Error(`the workload is not the published one: ${found} of its requests come out \`${outcome}\` under ${size} policies, not ${count}`)
  }
  return outcomes
}

/** Throws when the engine fails, disagrees with the reference, or is not done in time. */
export function runEngine(engine: string, size: Size, expected: Outcome[]): Promise<Figures> {
  const { flags = [] } = catalogue.find(({ name }) => name === engine)!
  const child = fork(join(import.meta.dirname, 'child.ts'), { execArgv: ['--import', 'tsx', ...flags] })
  const failed = (why: string) => new Error(`${engine} under ${size} policies: ${why}`)
  return new Promise<Figures>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(failed(`not done after ${limitMs / 1000} s`))
      child.kill('SIGKILL')
    }, limitMs)
    child.once('message', (result: Result) => ('figures' in result ? resolve(result.figures) : reject(failed(result.error))))
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      reject(failed(`ended with ${signal ?? code} before it answered`))
    })
    child.send({ engine, size, expected } satisfies Task)
  })
}
