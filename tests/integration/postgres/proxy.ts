/** A TCP proxy in front of PostgreSQL that can fall silent, cut, or cut right after a COMMIT went through. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export type DatabaseProxy = {
  /** The given URL, led through here. */
  url: string
  /** `silent` swallows everything; `down` refuses new connections and cuts the others. */
  mode: 'pass' | 'silent' | 'down'
  setMode(mode: DatabaseProxy['mode']): void
  /** Cuts the next connection on which the server confirms this command, before the client hears of it. */
  cutAfter(command: string): void
  close(): Promise<void>
}

export async function databaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const url = new URL(databaseUrl)
  const upstream = { host: url.hostname, port: Number(url.port) }
  const open = new Set<Socket>()
  let cutting: string | undefined
  const cutAll = () => open.forEach((socket) => socket.destroy())

  const server = createServer((client) => {
    const target = connect(upstream)
    for (const socket of [client, target]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        target.destroy()
      })
    }
    if (proxy.mode === 'down') client.destroy()
    client.on('data', (chunk) => proxy.mode === 'pass' && target.write(chunk))
    target.on('data', (chunk) => {
      if (cutting !== undefined && chunk.includes(`${cutting}\0`)) {
        cutting = undefined
        client.destroy()
      } else if (proxy.mode === 'pass') client.write(chunk)
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`

  const proxy: DatabaseProxy = {
    url: url.href,
    mode: 'pass',
    setMode(mode) {
      proxy.mode = mode
      if (mode === 'down') cutAll()
    },
    cutAfter: (command) => void (cutting = command),
    async close() {
      cutAll()
      await new Promise((closed) => server.close(closed))
    },
  }
  return proxy
}
