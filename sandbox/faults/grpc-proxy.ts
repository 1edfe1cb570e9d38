/** Stands before Temporal and catches single calls, told apart by their method and their message. */
import { connect, createServer, constants, type ClientHttp2Session, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
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
  /** From now on another server stands behind the same address. */
  redirect(to: string): void
  arm(rule: GrpcRule, act?: Act<GrpcCall>): Trap<GrpcCall>
  once(rule: GrpcRule, act?: Act<GrpcCall>): Promise<GrpcCall>
  disarmAll(): void
}

type Answer = { headers: Headers; body: Buffer; trailers: Headers | undefined }
type Headers = Record<string, string | string[] | number | undefined>

/** Calls with one request and one answer each, which is all that workers and clients of Temporal make. */
export async function startGrpcProxy({ to }: { to: string }): Promise<GrpcProxy> {
  const traps = trapSet<GrpcCall>()
  let target = to
  const server = createServer()
  server.on('session', (session) => serveSession(traps, session, () => target))
  const door = await openDoor(server)
  const arm: GrpcProxy['arm'] = ({ phase, nth, ...rule }, act) => traps.arm({ phase, nth, act, matches: (call) => matches(rule, call) })
  const redirect = (other: string) => {
    target = other
    door.cut()
  }
  return { ...door, address: `127.0.0.1:${door.port}`, redirect, arm, once: (rule, act) => arm(rule, act).hit, disarmAll: traps.disarmAll }
}

const matches = ({ method, text = [] }: Omit<GrpcRule, 'phase' | 'nth'>, call: GrpcCall): boolean =>
  (method?.test(call.method) ?? true) && text.every((each) => each.test(call.text))

function serveSession(traps: ReturnType<typeof trapSet<GrpcCall>>, session: ServerHttp2Session, target: () => string): void {
  const upstream = lineTo(target)
  session.on('error', () => undefined)
  session.on('close', () => upstream.close())
  session.on('stream', (stream, headers) => {
    stream.on('error', () => undefined) // its caller may be killed at any time
    const cut = () => void session.destroy()
    const serve = async () => {
      const body = await bytesOf(stream)
      const sprung = traps.claim({ method: headers[':path']?.split('/').at(-1) ?? '', text: textOf(body, headers['grpc-encoding']) })
      if ((await sprung.serve('before_send')) === 'cut') return cut()
      const answer = await send(upstream.current(), stream, headers, body)
      if ((await sprung.serve('after_send')) === 'cut') return cut()
      await reply(stream, answer)
      if ((await sprung.serve('after_reply')) === 'cut') cut()
    }
    serve().catch(() => reply(stream, unavailable))
  })
}

/** What a server that is not there would say, if it could. */
const unavailable: Answer = { headers: { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }, body: Buffer.alloc(0), trailers: undefined }

/** One connection to the server at a time; a server asks for a fresh one every few minutes. */
function lineTo(target: () => string) {
  const open = new Set<ClientHttp2Session>()
  let current: ClientHttp2Session | undefined
  const dial = (): ClientHttp2Session => {
    const dialled = connect(`http://${target()}`)
    const leave = () => void (current === dialled && (current = undefined))
    open.add(dialled)
    dialled.on('goaway', leave) // calls under way finish on it
    dialled.on('error', leave)
    dialled.on('close', () => {
      leave()
      open.delete(dialled)
    })
    return dialled
  }
  return {
    current: () => (current ??= dial()),
    close: () => open.forEach((session) => session.destroy()),
  }
}

const passedOn = (headers: Headers) => Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))

/** A caller that is gone takes its call along: a long poll must not win a task that nobody will do. */
function send(upstream: ClientHttp2Session, caller: ServerHttp2Stream, headers: Headers, body: Buffer): Promise<Answer> {
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
