import { createServer } from 'node:net'
import { randomInt } from 'node:crypto'

// Below the range systems take ports from for outgoing connections: one of those could occupy a port between our
// finding it free and its server's binding it.
const [lowest, highest] = [10_240, 32_000]
const attemptsPerPort = 50

/** Different free ports on 127.0.0.1. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let attempt = 0; found.size < count; attempt++) {
    if (attempt > count * attemptsPerPort) throw new Error(`fewer than ${count} free ports between ${lowest} and ${highest} on 127.0.0.1: end what occupies them`)
    const port = randomInt(lowest, highest)
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  return [...found]
}

const isFree = (port: number) =>
  new Promise<boolean>((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
