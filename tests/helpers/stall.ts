/** How long nothing else in this process had its turn: the API and its test share one event loop. */
import { readFileSync } from 'node:fs'

const tickMs = 5

export type Stall<T> = { result: T; stallMs: number }

/** Of this thread alone where the system says so: a worker thread of the API may take what it likes. */
function processorMs(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  }
}

/**
 * The longest time between two ticks while `work` ran. A gap counts for no more than the processor time that was used
 * in it: what others on the machine took is not a stall of ours.
 */
export async function stallOf<T>(work: () => Promise<T>): Promise<Stall<T>> {
  let stallMs = 0
  const now = () => ({ atMs: performance.now(), processorMs: processorMs() })
  let last = now()
  const look = () => {
    const next = now()
    stallMs = Math.max(stallMs, Math.min(next.atMs - last.atMs, next.processorMs - last.processorMs) - tickMs)
    last = next
  }
  const ticker = setInterval(look, tickMs)
  try {
    const result = await work()
    look()
    return { result, stallMs }
  } finally {
    clearInterval(ticker)
  }
}

/** The bar for every attack: none holds up the others for so long. */
export const stallLimitMs = 100
