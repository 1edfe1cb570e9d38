import pg from 'pg'
import { asFailure } from './failures.ts'

export type Channel = 'aegis_request' | 'aegis_answer' | 'aegis_policy' | 'aegis_freeze'
export type Listener = { close(): Promise<void> }

const firstPauseMs = 200
const longestPauseMs = 10_000
const connectTimeoutMs = 3_000
/** A connection that died without a word is noticed by this question. */
const heartbeatMs = 10_000

/**
 * Calls `onNotify` for every hint until closed. Connects directly, never through a transaction pooler,
 * and again with backoff whenever the connection is lost. Hints sent meanwhile are lost: callers poll too.
 */
export function listen(
  url: string,
  channels: readonly Channel[],
  onNotify: (channel: Channel, payload: string) => void,
  { onError }: { onError: (failure: Error) => void },
): Listener {
  const closing = new AbortController()
  const running = keepListening(url, channels, onNotify, onError, closing.signal)
  return {
    async close() {
      closing.abort()
      await running
    },
  }
}

async function keepListening(
  url: string,
  channels: readonly Channel[],
  onNotify: (channel: Channel, payload: string) => void,
  onError: (failure: Error) => void,
  closing: AbortSignal,
): Promise<void> {
  let pauseMs = firstPauseMs
  while (!closing.aborted) {
    try {
      await listenOnce(url, channels, onNotify, closing, () => (pauseMs = firstPauseMs))
    } catch (error) {
      const failure = asFailure(error)
      onError(failure instanceof Error ? failure : new Error('listening to the database failed'))
    }
    await pause(pauseMs, closing)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

/** Until closed; throws when the connection fails. */
async function listenOnce(
  url: string,
  channels: readonly Channel[],
  onNotify: (channel: Channel, payload: string) => void,
  closing: AbortSignal,
  onListening: () => void,
): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'aegis-listen',
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: connectTimeoutMs,
    keepAlive: true,
  })
  const lost = new Promise<never>((_, reject) => {
    client.on('error', reject)
    client.on('end', () => reject(new Error('Connection ended unexpectedly')))
  })
  lost.catch(() => undefined) // also when it comes while nobody waits
  client.on('notification', ({ channel, payload }) => onNotify(channel as Channel, payload ?? ''))
  try {
    await client.connect()
    await client.query(channels.map((channel) => `listen ${client.escapeIdentifier(channel)}`).join('; '))
    onListening()
    while (!closing.aborted) {
      await Promise.race([lost, pause(heartbeatMs, closing)])
      if (!closing.aborted) await client.query('select 1')
    }
  } finally {
    const ended = new AbortController()
    const ending = client.end().catch(() => undefined).finally(() => ended.abort())
    await Promise.race([ending, pause(connectTimeoutMs, ended.signal)])
  }
}

const pause = (ms: number, until: AbortSignal): Promise<void> =>
  new Promise((wake) => {
    if (until.aborted) return wake()
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      until.removeEventListener('abort', done)
      wake()
    }
    until.addEventListener('abort', done)
  })
