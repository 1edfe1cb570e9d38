import type { AddressInfo, Server, Socket } from 'node:net'

/** The listening side of a proxy, on 127.0.0.1, and the outages that every proxy can play. */
export type Door = {
  port: number
  /** Cuts what is open and turns away whoever comes, as a server that is gone. */
  goDown(): void
  comeBack(): void
  /** Cuts what is open; whoever comes again is served. */
  cut(): void
  close(): Promise<void>
}

export async function openDoor(server: Server): Promise<Door> {
  const sockets = new Set<Socket>()
  let down = false
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  // First in line, so that nothing else touches a connection that is turned away.
  server.prependListener('connection', (socket: Socket) => {
    socket.on('error', () => undefined) // the other side may vanish at any time: that is what this is for
    if (down) return void socket.destroy()
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    goDown() {
      down = true
      cut()
    },
    comeBack: () => void (down = false),
    cut,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      cut()
      await closed
    },
  }
}
