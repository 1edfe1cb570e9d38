import type { Answer, Connection } from './connection.ts'

/**
 * A connection for one look, in which each address is read once, for all who ask: the owner of a pod
 * is its workload too. Never for longer than a look, and never for what has to be read anew.
 */
export function readOnce(connection: Connection): Connection {
  const reads = new Map<string, Promise<Answer>>()
  return {
    ...connection,
    request(call) {
      if (call.method !== 'GET') return connection.request(call)
      const address = JSON.stringify([call.path, call.query])
      const read = reads.get(address) ?? connection.request(call)
      reads.set(address, read)
      return read
    },
  }
}
