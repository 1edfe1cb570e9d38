/** Stands before PostgreSQL and counts what is asked of it, whatever the driver or the query builder call it. */
import { isEncryptionRequest, messageReader } from '../../../sandbox/faults/postgres-wire.ts'
import { startTcpProxy } from '../../../sandbox/faults/tcp-proxy.ts'

export type Count = { statements: number; transactions: number }

export type CountingProxy = {
  /** The given URL, led through here. */
  url: string
  /** Since the last time. `begin` and `commit` are statements too. */
  take(): Count
  close(): Promise<void>
}

export async function countingProxy(databaseUrl: string): Promise<CountingProxy> {
  const url = new URL(databaseUrl)
  let count: Count = { statements: 0, transactions: 0 }
  const proxy = await startTcpProxy({
    to: url.host,
    relay(client, server) {
      const [asked, answered] = [messageReader({ startsWithout: 'type' }), messageReader({ startsWithout: 'nothing' })]
      let pending = 0
      client.on('data', (bytes) => {
        for (const { type, payload } of asked(bytes)) {
          if (type === '' && isEncryptionRequest(payload)) throw new Error('the counting proxy reads plain connections only')
          if (type === 'Q' || type === 'E') {
            count.statements++
            pending++
          }
        }
        server.write(bytes)
      })
      server.on('data', (bytes) => {
        for (const { type, payload } of answered(bytes)) {
          // Ready again, and in no transaction: whatever ran is committed or rolled back.
          if (type === 'Z' && payload.toString() === 'I' && pending > 0) count.transactions++
          if (type === 'Z') pending = 0
        }
        client.write(bytes)
      })
    },
  })
  url.host = proxy.address
  return {
    url: url.href,
    take() {
      const taken = count
      count = { statements: 0, transactions: 0 }
      return taken
    },
    close: () => proxy.close(),
  }
}
