/** One engine at one size, in a process of its own: is told over the channel what to measure, and answers there. */
import { loadOf } from './catalogue.ts'
import { measure, type Figures } from './measure.ts'
import { policies, requests, type Outcome } from './workload.ts'

export type Task = { engine: string; size: number; expected: Outcome[] }
export type Result = { figures: Figures } | { error: string }

process.once('message', (task: Task) => {
  void figuresOf(task).then(
    (figures) => answer({ figures }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  )
})

async function figuresOf({ engine, size, expected }: Task): Promise<Figures> {
  const load = await loadOf(engine)
  const begun = performance.now()
  const loaded = await load(policies(size))
  const loadMs = performance.now() - begun
  return { ...(await measure(loaded, requests(), expected)), loadMs }
}

const answer = (result: Result): void => void process.send?.(result, () => process.disconnect())
