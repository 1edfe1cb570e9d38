import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../../domain/failure.ts'
import { list } from './api.ts'
import type { Connection, Query } from './connection.ts'
import { failureOf } from './errors.ts'

/** `listed` replaces everything known before; the others change one object. */
export type Change<T> = { type: 'listed'; objects: T[] } | { type: 'put'; object: T } | { type: 'gone'; object: T }

export type WatchOptions<T> = {
  connection: Connection
  /** As `pathOf` gives it, such as `/apis/apps/v1/deployments`. */
  path: string
  query?: Query
  onChange(change: Change<T>): void
  /** What went wrong, each time; the watch goes on by itself. */
  onError(error: unknown): void
  signal: AbortSignal
  /** A whole new list after this long: what was missed is found, whatever the reason. */
  resyncMs?: number
}

const defaultResyncMs = 5 * 60_000
/** The server ends a watch after this long, before silence could be taken for a dead connection. */
const watchSeconds = 25
const graceMs = 10_000
const firstBackoffMs = 500
const longestBackoffMs = 30_000
/** A server or proxy that ends watches at once is not asked more often than this. */
const shortestWatchMs = 1_000

/** Lists and follows one kind of object until `signal` aborts. Never throws; callbacks that do are reported. */
export async function watchResource<T>(options: WatchOptions<T>): Promise<void> {
  const { signal } = options
  let failures = 0
  while (!signal.aborted) {
    try {
      const { items, resourceVersion } = await list<T>(options.connection, options.path, options.query)
      if (signal.aborted) return
      tell(options, { type: 'listed', objects: items })
      await follow(options, resourceVersion)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      report(options, asFailure(options.connection, error))
      failures += 1
      const backoffMs = Math.min(firstBackoffMs * 2 ** Math.min(failures - 1, 10), longestBackoffMs)
      await pause(backoffMs / 2 + Math.random() * (backoffMs / 2), signal)
    }
  }
}

/** Watches on and on from where the last watch ended. Returns when a new list is due or the server forgot where we were. */
async function follow<T>(options: WatchOptions<T>, listedAt: string): Promise<void> {
  const untilMs = Date.now() + (options.resyncMs ?? defaultResyncMs)
  let resourceVersion: string | undefined = listedAt
  while (!options.signal.aborted && resourceVersion !== undefined && Date.now() < untilMs) {
    const begunMs = Date.now()
    const leftSeconds = Math.max(1, Math.ceil((untilMs - begunMs) / 1000))
    resourceVersion = await watchOnce(options, resourceVersion, Math.min(watchSeconds, leftSeconds))
    await pause(shortestWatchMs - (Date.now() - begunMs), options.signal)
  }
}

/** Ends early, and quietly, when the signal aborts. */
const pause = (ms: number, signal: AbortSignal): Promise<void> => (ms > 0 ? sleep(ms, undefined, { signal }).catch(() => undefined) : Promise.resolve())

type Event = { type?: string; object?: { code?: number; metadata?: { resourceVersion?: string } } }

/** Where the next watch goes on, or undefined where the server has forgotten that place. */
async function watchOnce<T>(options: WatchOptions<T>, from: string, timeoutSeconds: number): Promise<string | undefined> {
  const { connection, path, query, signal } = options
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000 + graceMs)])
  const { status, lines } = await connection.lines(path, { ...query, resourceVersion: from, timeoutSeconds, allowWatchBookmarks: 'true' }, bounded)
  if (status === 410) return undefined
  if (status !== 200) throw failureOf(connection.cluster, `watch \`${path}\``, { status, body: null, retryAfterMs: null })
  let resourceVersion = from
  for await (const line of lines) {
    const event = JSON.parse(line) as Event
    if (event.type === 'ERROR') return refuseUnlessExpired(connection, path, event)
    resourceVersion = event.object?.metadata?.resourceVersion ?? resourceVersion
    if (event.type !== 'BOOKMARK') tell(options, { type: event.type === 'DELETED' ? 'gone' : 'put', object: event.object as T })
  }
  return resourceVersion
}

/** "Too old resource version" comes as an event in an answer that began with 200. */
function refuseUnlessExpired(connection: Connection, path: string, { object }: Event): undefined {
  if (object?.code === 410) return undefined
  throw failureOf(connection.cluster, `watch \`${path}\``, { status: object?.code ?? 500, body: null, retryAfterMs: null })
}

function tell<T>(options: WatchOptions<T>, change: Change<T>): void {
  try {
    options.onChange(change)
  } catch (error) {
    report(options, error)
  }
}

const asFailure = ({ cluster }: Connection, error: unknown): Failure =>
  error instanceof Failure ? error : new Failure('unavailable', 'watch_broken', `a watch on cluster \`${cluster}\` broke off`, { cause: error })

function report<T>({ onError }: WatchOptions<T>, error: unknown): void {
  try {
    onError(error)
  } catch {
    // An error while reporting an error has nowhere left to go, and must not end the watch.
  }
}
