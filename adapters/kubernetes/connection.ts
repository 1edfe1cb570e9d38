import { createHash } from 'node:crypto'
import { createConfiguration, HttpMethod, KubeConfig, RequestContext, type ResponseContext } from '@kubernetes/client-node'
import { Failure } from '../../domain/failure.ts'
import { unavailable } from './errors.ts'

/**
 * One cluster under one identity. Objects travel as the JSON the API server wrote, not through the
 * typed client: that drops fields it does not know, and a template put back must be whole. So times
 * are text here, although the `V1…` types say `Date`.
 */
export type Connection = {
  cluster: string
  /** Any answered status is an answer. Throws `Failure('unavailable')` when none came in time. */
  request(call: Call): Promise<Answer>
  /** The lines of a watch as they come, until the server ends it or `signal` does. */
  lines(path: string, query: Query, signal: AbortSignal): Promise<{ status: number; lines: AsyncIterable<string> }>
  /** Ends idle connections. Calls made later still work. */
  close(): Promise<void>
}

export type Call = { method: 'GET' | 'POST' | 'PUT' | 'PATCH'; path: string; query?: Query; body?: unknown; contentType?: ContentType }
export type ContentType = 'application/json' | 'application/merge-patch+json' | 'application/json-patch+json'
export type Query = Record<string, string | number | undefined>
/** `retryAfterMs` is what the server asked for, if it did. */
export type Answer = { status: number; body: unknown; retryAfterMs: number | null }

export type ConnectOptions = {
  name: string
  /** A kubeconfig file. Undefined: the pod's own service account. */
  kubeconfig?: string | undefined
  userAgent: string
  timeoutMs: number
}

/** Throws `Failure('invalid')` for a kubeconfig that names no cluster. No call is made yet. */
export function connectCluster({ name, kubeconfig, userAgent, timeoutMs }: ConnectOptions): Connection {
  const credentials = credentialsFrom(name, kubeconfig)
  const http = createConfiguration().httpApi
  const dispatchers = keptDispatcher()

  async function prepare({ method, path, query = {}, body, contentType }: Call, signal: AbortSignal): Promise<RequestContext> {
    const { config, revision } = credentials()
    const context = new RequestContext(addressOf(config, path, query), HttpMethod[method])
    await config.applySecurityAuthentication(context)
    context.setHeaderParam('User-Agent', userAgent)
    context.setHeaderParam('Accept', 'application/json')
    if (body !== undefined) {
      context.setHeaderParam('Content-Type', contentType ?? 'application/json')
      context.setBody(JSON.stringify(body))
    }
    context.setSignal(signal)
    const dispatcher = dispatchers.keep(context.getDispatcher(), revision)
    if (dispatcher) context.setDispatcher(dispatcher)
    return context
  }

  const fetched = (context: RequestContext): Promise<ResponseContext> => http.send(context).toPromise()

  return {
    cluster: name,
    async request(call) {
      try {
        const context = await prepare(call, AbortSignal.timeout(timeoutMs))
        const { status, text, retryAfter } = await exchange(context, fetched)
        return { status, body: parseJson(text), retryAfterMs: secondsToMs(retryAfter) }
      } catch (cause) {
        throw unavailable(name, cause)
      }
    },
    async lines(path, query, signal) {
      try {
        const response = await fetched(await prepare({ method: 'GET', path, query: { ...query, watch: 'true' } }, signal))
        const stream = response.body.stream?.() ?? null
        return { status: response.httpStatusCode, lines: linesOf(stream as AsyncIterable<Uint8Array> | null) }
      } catch (cause) {
        throw unavailable(name, cause)
      }
    },
    close: () => dispatchers.close(),
  }
}

type Exchanged = { status: number; text: string; retryAfter: string | undefined }

/**
 * Past `fetch`, whose streams and header objects cost more than all else we do for a call. The signal
 * covers the body too: a server may stall half-way. Without TLS settings of our own client-node gives
 * no dispatcher, and fetch uses the process's.
 */
async function exchange(context: RequestContext, fetched: (context: RequestContext) => Promise<ResponseContext>): Promise<Exchanged> {
  const dispatcher = context.getDispatcher()
  if (!dispatcher) {
    const { httpStatusCode: status, body, headers } = await fetched(context)
    return { status, text: await body.text(), retryAfter: headers['retry-after'] }
  }
  const { origin, pathname, search } = new URL(context.getUrl())
  const { statusCode: status, body, headers } = await dispatcher.request({
    origin,
    path: pathname + search,
    method: context.getHttpMethod(),
    headers: context.getHeaders(),
    body: (context.getBody() as string | undefined) ?? null,
    signal: context.getSignal(),
  })
  return { status, text: await body.text(), retryAfter: headers['retry-after']?.toString() }
}

function addressOf(config: KubeConfig, path: string, query: Query): string {
  const address = new URL(`${config.getCurrentCluster()?.server.replace(/\/$/, '')}${path}`)
  for (const [key, value] of Object.entries(query)) if (value !== undefined) address.searchParams.set(key, String(value))
  return address.toString()
}

const secondsToMs = (header: string | undefined): number | null => {
  const seconds = Number(header)
  return header !== undefined && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // a proxy's error page, say; the status alone counts then
  }
}

async function* linesOf(stream: AsyncIterable<Uint8Array> | null): AsyncIterable<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream ?? []) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    yield* parts.filter((line) => line !== '')
  }
}

/** The file is looked at again this often: a rotated certificate or token must not need a restart. */
const credentialsAgeMs = 10_000

type Credentials = () => { config: KubeConfig; revision: string }

/** In a pod the client itself reads the token file again; a kubeconfig we read again. */
function credentialsFrom(name: string, kubeconfig: string | undefined): Credentials {
  if (kubeconfig === undefined) {
    const config = new KubeConfig()
    config.loadFromCluster()
    if (config.getCurrentCluster()?.server.includes('undefined')) {
      throw new Failure('invalid', 'not_in_cluster', `cluster \`${name}\` has no kubeconfig and this process runs in no pod: name a kubeconfig file`)
    }
    return () => ({ config, revision: 'service account' })
  }
  let loaded = loadFile(name, kubeconfig)
  let lookedAtMs = Date.now()
  return () => {
    if (Date.now() - lookedAtMs > credentialsAgeMs) {
      lookedAtMs = Date.now()
      loaded = reload(name, kubeconfig, loaded)
    }
    return loaded
  }
}

type Loaded = { config: KubeConfig; revision: string }

/** Token files named in a kubeconfig are read when it is loaded, so they count as part of it. */
function reload(name: string, file: string, loaded: Loaded): Loaded {
  try {
    const next = loadFile(name, file)
    return next.revision === loaded.revision ? loaded : next // an unchanged one keeps its cached logins
  } catch {
    return loaded // half written: the next look will find it whole
  }
}

function loadFile(name: string, file: string): Loaded {
  const config = new KubeConfig()
  try {
    config.loadFromFile(file)
  } catch {
    // Without the cause: a parse error quotes the file, credentials and all.
    throw new Failure('invalid', 'kubeconfig_unreadable', `the kubeconfig \`${file}\` of cluster \`${name}\` cannot be read: check its path, rights and form`)
  }
  if (!config.getCurrentCluster()) {
    throw new Failure('invalid', 'kubeconfig_empty', `the kubeconfig \`${file}\` of cluster \`${name}\` has no current context: set \`current-context\``)
  }
  return { config, revision: createHash('sha256').update(config.exportConfig()).digest('hex') }
}

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>

/** Certificates on disk may be new after this long; open calls finish on the old connections. */
const dispatcherAgeMs = 10 * 60_000

/** client-node makes a new agent, so a new TLS connection, for every call. This keeps one. */
function keptDispatcher() {
  let kept: { dispatcher: Dispatcher; revision: string; sinceMs: number } | undefined
  return {
    keep(fresh: Dispatcher | undefined, revision: string): Dispatcher | undefined {
      if (!fresh) return undefined
      if (kept && kept.revision === revision && Date.now() - kept.sinceMs < dispatcherAgeMs) return kept.dispatcher
      void kept?.dispatcher.close().catch(() => undefined)
      kept = { dispatcher: fresh, revision, sinceMs: Date.now() }
      return fresh
    },
    async close() {
      const last = kept?.dispatcher
      kept = undefined
      await last?.destroy()
    },
  }
}
