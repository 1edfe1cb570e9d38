import { connect, createServer, type Socket } from 'node:net'
import { openDoor, type Door } from './door.ts'

export type TcpProxy = Door & {
  /** `host:port` */
  address: string
  /** From now on bytes stand still, both ways, and new connections too: a network that swallows everything. */
  pause(): void
  resume(): void
}

export type TcpProxyOptions = {
  /** `host:port` of the server behind it. */
  to: string
  /** What is done with the bytes of one connection; plain passing by default. */
  relay?: (client: Socket, server: Socket) => void
}

export async function startTcpProxy({ to, relay = pass }: TcpProxyOptions): Promise<TcpProxy> {
  const { hostname, port } = new URL(`tcp://${to}`)
  const links = new Set<Socket>()
  let paused = false

  const tcp = createServer((client) => {
    const server = connect(Number(port), hostname)
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      links.add(socket)
      socket.on('error', () => other.destroy())
      socket.once('close', () => {
        links.delete(socket)
        other.destroy()
      })
    }
    relay(client, server)
    if (paused) for (const socket of [client, server]) socket.pause()
  })
  const door = await openDoor(tcp)
  const each = (what: 'pause' | 'resume') => {
    paused = what === 'pause'
    for (const socket of links) socket[what]()
  }
  return { ...door, address: `127.0.0.1:${door.port}`, pause: () => each('pause'), resume: () => each('resume') }
}

function pass(client: Socket, server: Socket): void {
  client.on('data', (bytes) => void server.write(bytes))
  server.on('data', (bytes) => void client.write(bytes))
}
