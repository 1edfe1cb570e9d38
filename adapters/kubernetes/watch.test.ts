import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../../domain/failure.ts'
import type { Connection, Query } from './connection.ts'
import { watchResource, type Change } from './watch.ts'

type Pod = { metadata: { name: string; resourceVersion: string } }
const pod = (name: string, resourceVersion: string): Pod => ({ metadata: { name, resourceVersion } })
const event = (type: string, object: object) => JSON.stringify({ type, object })

type Script = { lists?: (Pod[] | Failure)[]; watches?: (string[] | number | Failure)[] }

/** Plays back answers; when they run out, lists repeat the last one and watches stay silent. */
function server({ lists = [[]], watches = [] }: Script) {
  const asked: Query[] = []
  let listed = 0
  const connection: Connection = {
    cluster: 'main',
    async request() {
      const next = lists[Math.min(listed++, lists.length - 1)]
      if (next instanceof Failure) throw next
      return { status: 200, body: { items: next, metadata: { resourceVersion: `${listed}00` } }, retryAfterMs: null }
    },
    async lines(_path, query, signal) {
      asked.push(query)
      const next = watches.shift()
      if (next instanceof Failure) throw next
      if (typeof next === 'number') return { status: next, lines: (async function* () {})() }
      return {
        status: 200,
        lines: (async function* () {
          yield* next ?? []
          if (!next) await sleep(60_000, undefined, { signal })
        })(),
      }
    },
    close: async () => undefined,
  }
  return { connection, asked, listings: () => listed }
}

async function watch(script: Script, untilChanges: number, onChange: (change: Change<Pod>) => void = () => undefined, limitMs = 4_000) {
  const played = server(script)
  const stop = new AbortController()
  const changes: Change<Pod>[] = []
  const errors: unknown[] = []
  const watching = watchResource<Pod>({
    connection: played.connection,
    path: '/api/v1/pods',
    signal: stop.signal,
    onError: (error) => void errors.push(error),
    onChange(change) {
      changes.push(change)
      if (changes.length >= untilChanges) stop.abort()
      onChange(change)
    },
  })
  await Promise.race([watching, sleep(limitMs, undefined, { ref: false })])
  stop.abort()
  await watching
  return { changes, errors, asked: played.asked, listings: played.listings() }
}

const unreachable = new Failure('unavailable', 'cluster_unreachable', 'cluster `main` cannot be reached')

test('a list comes first, then each change; bookmarks only move the place', async () => {
  const { changes, errors, asked } = await watch(
    { lists: [[pod('a', '1')]], watches: [[event('ADDED', pod('b', '101')), event('DELETED', pod('a', '102')), event('BOOKMARK', { metadata: { resourceVersion: '110' } })], [event('MODIFIED', pod('b', '111'))]] },
    4,
  )
  expect(changes).toEqual([
    { type: 'listed', objects: [pod('a', '1')] },
    { type: 'put', object: pod('b', '101') },
    { type: 'gone', object: pod('a', '102') },
    { type: 'put', object: pod('b', '111') },
  ])
  expect(errors).toEqual([])
  expect(asked.map(({ resourceVersion }) => resourceVersion)).toEqual(['100', '110'])
  expect(asked.every(({ timeoutSeconds }) => Number(timeoutSeconds) <= 25)).toBe(true)
})

test.each([
  ['an event in the stream', [event('ERROR', { code: 410 })]],
  ['the status', 410],
])('a place the server forgot (410 by %s) leads to a new list, and is no error', async (_how, forgotten) => {
  const { changes, errors, listings } = await watch({ watches: [forgotten] }, 2)
  expect(changes.map(({ type }) => type)).toEqual(['listed', 'listed'])
  expect(listings).toBe(2)
  expect(errors).toEqual([])
})

test('what breaks is reported, and everything is listed again', async () => {
  const { changes, errors } = await watch({ lists: [unreachable, [pod('a', '1')]], watches: [500, ['no json']] }, 3, undefined, 15_000)
  expect(changes.map(({ type }) => type)).toEqual(Array(3).fill('listed'))
  expect(errors).toHaveLength(3)
  expect(errors.every((error) => error instanceof Failure && error.kind === 'unavailable')).toBe(true)
}, 20_000)

test('a callback that throws is reported and stops nothing', async () => {
  const { changes, errors } = await watch({ watches: [[event('ADDED', pod('a', '101'))]] }, 2, () => {
    throw new Error('a bug of the caller')
  })
  expect(changes).toHaveLength(2)
  expect(errors.map(String)).toEqual(['Error: a bug of the caller', 'Error: a bug of the caller'])
})

test('a server that ends every watch at once is not asked in a tight loop', async () => {
  const { asked } = await watch({ watches: Array.from({ length: 50 }, () => []) }, 99, undefined, 1_500)
  expect(asked.length).toBeLessThanOrEqual(3)
})
