import { Failure } from '../domain/failure.ts'

/** Does for many callers at once what each asks for. */
export type Grouped<Item, Result = void> = (item: Item) => Promise<Result>

export type GroupOptions = {
  mostInGroup: number
  /** Groups under way at a time; who comes meanwhile gathers for the next one. What is asked in one turn of the event loop goes together. */
  mostRunning: number
  mostWaiting: number
  /** What the one too many is told. */
  full: () => Error
}

type Waiting<Item, Result> = { item: Item; resolve: (result: Result) => void; reject: (failure: unknown) => void }

/**
 * Bundles calls under load: what many want of the database costs them one statement. A group's work begins after the
 * last of it has asked, so nobody is answered from before the question. Each goes on when its own group is done, or
 * hears why it was not. `work` gives one result for each item, in their order.
 */
export function grouped<Item, Result>(work: (items: Item[]) => Promise<readonly Result[]>, { mostInGroup, mostRunning, mostWaiting, full }: GroupOptions): Grouped<Item, Result> {
  const waiting: Waiting<Item, Result>[] = []
  let running = 0
  let due = false

  function begin(): void {
    if (due || waiting.length === 0 || running >= mostRunning) return
    due = true
    setImmediate(() => {
      due = false
      void run()
    })
  }

  async function run(): Promise<void> {
    running += 1
    while (waiting.length > 0) {
      const group = waiting.splice(0, mostInGroup)
      begin()
      try {
        const results = await work(group.map(({ item }) => item))
        group.forEach(({ resolve }, at) => resolve(results[at]!))
      } catch (failure) {
        await apart(group, failure)
      }
    }
    running -= 1
  }

  /** What cannot be done for one must not cost the others; what is away is away for all. */
  async function apart(group: readonly Waiting<Item, Result>[], failure: unknown): Promise<void> {
    if (group.length === 1 || (failure instanceof Failure && failure.kind === 'unavailable')) return group.forEach(({ reject }) => reject(failure))
    for (const { item, resolve, reject } of group) await work([item]).then(([result]) => resolve(result!), reject)
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= mostWaiting) return reject(full())
      waiting.push({ item, resolve, reject })
      begin()
    })
}
