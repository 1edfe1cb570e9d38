/** Stands before Temporal and catches single calls, told apart by their method and their message. */
import { connect, createServer, constants, type ClientHttp2Session, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { gunzipSync } from 'node:zlib'
import { openDoor, type Door } from './door.ts'
import { trapSet, type Act, type Phase, type Trap } from './traps.ts'

export type GrpcCall = {
  /** Without its package and service: `RespondActivityTaskCompleted`. */
  method: string
  /** The message's bytes one by one, so that what is text in it can be looked for. */
  text: string
}

export type GrpcRule = { method?: RegExp; text?: readonly RegExp[]; nth?: number; phase: Phase }

export type GrpcProxy = Door & {
  /** `host:port` */
  address: string
  arm(rule: GrpcRule, act?: Act<GrpcCall>): Trap<GrpcCall>
  once(rule: GrpcRule, act?: Act<GrpcCall>): Promise<GrpcCall>
  disarmAll(): void
}

type Answer = { headers: IncomingHttpHeaders; body: Buffer; trailers: IncomingHttpHeaders | undefined }

/** Calls with one request and one answer each, which is all that workers and clients of Temporal make. */
export async function startGrpcProxy({ to }: { to: string }): Promise<GrpcProxy> {
  const traps = trapSet<GrpcCall>()
  const server = createServer()
  server.on('session', (session) => {
    const upstream = connect(`http://${to}`)
    upstream.on('error', () => session.destroy())
    upstream.on('close', () => session.destroy())
    session.on('error', () => undefined)
    session.on('close', () => upstream.destroy())
    serveSession(traps, session, upstream)
  })
  const door = await openDoor(server)
  const arm: GrpcProxy['arm'] = ({ phase, nth, ...rule }, act) => traps.arm({ phase, nth, act, matches: (call) => matches(rule, call) })
  return { ...door, address: `127.0.0.1:${door.port}`, arm, once: (rule, act) => arm(rule, act).hit, disarmAll: traps.disarmAll }
}

const matches = ({ method, text = [] }: Omit<GrpcRule, 'phase' | 'nth'>, call: GrpcCall): boolean =>
  (method?.test(call.method) ?? true) && text.every((each) => each.test(call.text))

function serveSession(traps: ReturnType<typeof trapSet<GrpcCall>>, session: ServerHttp2Session, upstream: ClientHttp2Session): void {
  session.on('stream', (stream, headers) => {
    stream.on('error', () => undefined) // its caller may be killed at any time
    const cut = () => void session.destroy()
    const serve = async () => {
      const body = await bytesOf(stream)
      const sprung = traps.claim({ method: headers[':path']?.split('/').at(-1) ?? '', text: textOf(body, headers['grpc-encoding']) })
      if ((await sprung.serve('before_send')) === 'cut') return cut()
      const answer = await send(upstream, stream, headers, body)
      if ((await sprung.serve('after_send')) === 'cut') return cut()
      await reply(stream, answer)
      if ((await sprung.serve('after_reply')) === 'cut') cut()
    }
    serve().catch(() => stream.close(constants.NGHTTP2_CANCEL))
  })
}

const passedOn = (headers: IncomingHttpHeaders) => Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))

/** A caller that is gone takes its call along: a long poll must not win a task that nobody will do. */
function send(upstream: ClientHttp2Session, caller: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = upstream.request(passedOn(headers))
    const answer: Answer = { headers: {}, body: Buffer.alloc(0), trailers: undefined }
    const chunks: Buffer[] = []
    sent.on('response', (given) => void (answer.headers = given))
    sent.on('trailers', (given) => void (answer.trailers = given))
    sent.on('data', (chunk: Buffer) => void chunks.push(chunk))
    sent.on('end', () => {
      if (answer.headers[':status']) resolve({ ...answer, body: Buffer.concat(chunks) }) // a lost connection ends a call too
    })
    sent.on('error', reject)
    sent.on('close', () => reject(new Error('the call was ended by the server')))
    caller.on('close', () => sent.close(constants.NGHTTP2_CANCEL))
    sent.end(body)
  })
}

function reply(stream: ServerHttp2Stream, { headers, body, trailers }: Answer): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve()
    stream.once('close', resolve)
    if (!trailers) {
      stream.respond(passedOn(headers), { endStream: body.length === 0 })
      if (body.length > 0) stream.end(body)
      return
    }
    stream.respond(passedOn(headers), { waitForTrailers: true })
    stream.once('wantTrailers', () => stream.sendTrailers(passedOn(trailers)))
    stream.end(body)
  })
}

async function bytesOf(stream: ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** One frame: a flag for compression, four bytes of length, the message. */
function textOf(body: Buffer, encoding: unknown): string {
  const message = body.subarray(5)
  return (body[0] === 1 && encoding === 'gzip' ? gunzipSync(message) : message).toString('latin1')
}
