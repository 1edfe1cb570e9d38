/** Writes what many callers bring in as few commits as it takes: while one is under way, the next group gathers. */
export type GroupCommit<Item> = (item: Item) => Promise<void>

type Waiting<Item> = { item: Item; resolve: () => void; reject: (failure: unknown) => void }

/**
 * Each caller goes on when its own item is committed, or hears why it was not. At most `mostWaiting` callers wait;
 * `full` says what the next one is told.
 */
export function groupCommit<Item>(save: (items: Item[]) => Promise<void>, { mostInGroup, mostWaiting, full }: { mostInGroup: number; mostWaiting: number; full: () => Error }): GroupCommit<Item> {
  const waiting: Waiting<Item>[] = []
  let running = false

  async function run(): Promise<void> {
    running = true
    while (waiting.length > 0) {
      const group = waiting.splice(0, mostInGroup)
      try {
        await save(group.map(({ item }) => item))
        for (const { resolve } of group) resolve()
      } catch (failure) {
        for (const { reject } of group) reject(failure)
      }
    }
    running = false
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= mostWaiting) return reject(full())
      waiting.push({ item, resolve, reject })
      if (!running) void run()
    })
}
