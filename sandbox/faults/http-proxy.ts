/**
 * Stands between a worker and an API server and catches single requests: before they are sent, after the server has
 * carried them out but before its answer is handed over, or after that. Everything else passes, watches included.
 */
import { createServer, request as requestPlain, Agent as PlainAgent, type IncomingMessage, type ServerResponse } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { openDoor, type Door } from './door.ts'
import { upstreamOf, writeKubeconfigThrough, type Upstream } from './kubeconfig.ts'
import { trapSet, type Act, type Phase, type Trap } from './traps.ts'

export type ApiCall = {
  method: string
  path: string
  query: string
  body: string
  userAgent: string
  /** Known once the server has answered. */
  status: number | undefined
}

export type ApiRule = {
  method?: string
  path?: RegExp
  query?: RegExp
  body?: RegExp
  userAgent?: RegExp
  /** True: a write that changes something. False: a read, a dry run or a review. Left out: either. */
  effective?: boolean
  nth?: number
  phase: Phase
}

export type ApiProxy = Pick<Door, 'goDown' | 'comeBack' | 'cut' | 'close'> & {
  /** For the worker: the same identity, by way of this proxy. */
  kubeconfig: string
  arm(rule: ApiRule, act?: Act<ApiCall>): Trap<ApiCall>
  /** `arm` for who only waits. */
  once(rule: ApiRule, act?: Act<ApiCall>): Promise<ApiCall>
  disarmAll(): void
}

export type ApiProxyOptions = {
  kubeconfig: string
  /** The kubeconfig through the proxy is written here. */
  directory: string
}

/** Idle connections to the server end before the server ends them, so that none is used while it dies. */
const idleMs = 15_000

export async function startApiProxy({ kubeconfig, directory }: ApiProxyOptions): Promise<ApiProxy> {
  const upstream = upstreamOf(kubeconfig)
  const traps = trapSet<ApiCall>()
  const send = senderTo(upstream)

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bytesOf(request)
    const call = callOf(request, body)
    const sprung = traps.claim(call)
    if ((await sprung.serve('before_send')) === 'cut') return void response.destroy()
    const answer = await send(request, body)
    call.status = answer.statusCode
    if (!sprung.waits('after_send', 'after_reply')) return stream(answer, response)
    const bytes = await bytesOf(answer)
    if ((await sprung.serve('after_send')) === 'cut') return void response.destroy()
    await reply(answer, bytes, response)
    if ((await sprung.serve('after_reply')) === 'cut') response.socket?.destroy()
  }

  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()))
  const door = await openDoor(server)
  mkdirSync(directory, { recursive: true })
  const through = join(directory, `through-proxy.${basename(kubeconfig)}`)
  writeKubeconfigThrough(`http://127.0.0.1:${door.port}`, { from: kubeconfig, to: through })

  const arm: ApiProxy['arm'] = ({ phase, nth, ...rule }, act) => traps.arm({ phase, nth, act, matches: (call) => matches(rule, call) })
  const { goDown, comeBack, cut, close } = door
  return { kubeconfig: through, arm, once: (rule, act) => arm(rule, act).hit, disarmAll: traps.disarmAll, goDown, comeBack, cut, close }
}

function callOf({ method = 'GET', url = '/', headers }: IncomingMessage, body: Buffer): ApiCall {
  const { pathname, search } = new URL(url, 'http://proxy')
  return { method, path: pathname, query: search, body: body.toString('utf8'), userAgent: headers['user-agent'] ?? '', status: undefined }
}

function matches({ method, path, query, body, userAgent, effective }: Omit<ApiRule, 'phase' | 'nth'>, call: ApiCall): boolean {
  return (
    (method === undefined || method === call.method) &&
    (path?.test(call.path) ?? true) &&
    (query?.test(call.query) ?? true) &&
    (body?.test(call.body) ?? true) &&
    (userAgent?.test(call.userAgent) ?? true) &&
    (effective === undefined || effective === isEffective(call))
  )
}

/** Reviews are posted, but nothing is stored; a dry run may also hide in the options inside an eviction. */
export const isEffective = ({ method, path, query, body }: ApiCall): boolean =>
  method !== 'GET' && !/^\/apis\/auth(orization|entication)\.k8s\.io\//.test(path) && !/[?&]dryRun=/.test(query) && !/"dryRun":\s*\[\s*"All"/.test(body)

const hopByHop = ['connection', 'host', 'keep-alive', 'transfer-encoding', 'content-length']
const passedOn = (headers: IncomingMessage['headers']) => Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.includes(name)))

function senderTo({ server, ca, cert, key }: Upstream) {
  const address = new URL(server)
  const secure = address.protocol === 'https:'
  const keep = { keepAlive: true, timeout: idleMs }
  const agent = secure ? new TlsAgent({ ...keep, ca, cert, key }) : new PlainAgent(keep)
  return ({ method, url, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const options = { method, agent, headers: { ...passedOn(headers), 'content-length': body.length } }
      const sent = (secure ? requestTls : requestPlain)(new URL(url ?? '/', address), options, resolve)
      sent.once('error', reject)
      sent.end(body)
    })
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** As it comes: a watch has no end. Only the reading side of a watch ends with its client, so no write is ever called back. */
function stream(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, passedOn(answer.headers))
  response.flushHeaders()
  answer.on('error', () => response.destroy())
  response.on('close', () => answer.destroy())
  answer.pipe(response)
}

/** Resolves when the bytes have left for the client, or when the client is gone. */
const reply = (answer: IncomingMessage, bytes: Buffer, response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    response.once('close', resolve)
    response.writeHead(answer.statusCode ?? 502, { ...passedOn(answer.headers), 'content-length': bytes.length })
    response.end(bytes, resolve)
  })
