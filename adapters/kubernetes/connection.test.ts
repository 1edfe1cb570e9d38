import { jest } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../../domain/failure.ts'
import { connectCluster } from './connection.ts'
import { selectorText } from './health.ts'
import { pathOf } from './api.ts'

const folder = mkdtempSync(join(tmpdir(), 'aegis-kubeconfig-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function kubeconfig(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const connect = (path: string, timeoutMs = 1_000) => connectCluster({ name: 'main', kubeconfig: path, userAgent: 'aegis-executor/1', timeoutMs })

const failureOf = (act: () => unknown): Failure => {
  try {
    act()
  } catch (failure) {
    return failure as Failure
  }
  throw new Error('it did not fail')
}

test.each([
  ['is not there', join(folder, 'absent.yaml'), 'kubeconfig_unreadable'],
  ['is no YAML', kubeconfig('broken.yaml', 'users: [{user: {token: hunter2}'), 'kubeconfig_unreadable'],
  ['names no cluster', kubeconfig('empty.yaml', 'apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n'), 'kubeconfig_empty'],
])('a kubeconfig that %s stops the start in one sentence, without its content', (_what, path, code) => {
  const failure = failureOf(() => connect(path))
  expect(failure).toMatchObject({ kind: 'invalid', code })
  expect(`${failure.message}${failure.stack}${String(failure.cause)}`).not.toContain('hunter2')
})

test('without a kubeconfig and outside a pod it says what is missing', () => {
  expect(failureOf(() => connectCluster({ name: 'main', userAgent: 'x', timeoutMs: 1 }))).toMatchObject({ code: 'not_in_cluster' })
})

describe('against a server', () => {
  const seen: { url?: string; agent?: string; token?: string; type?: string; body?: string }[] = []
  let server: Server
  let answer: (path: string) => { status: number; body: string; headers?: Record<string, string>; stall?: boolean }

  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push({ url: request.url!, agent: request.headers['user-agent']!, token: request.headers.authorization!, type: request.headers['content-type']! })
      const entry = seen.at(-1)!
      request.on('data', (chunk: Buffer) => void (entry.body = `${entry.body ?? ''}${chunk.toString()}`))
      const { status, body, headers = {}, stall } = answer(request.url ?? '')
      response.writeHead(status, headers)
      response.write(body)
      if (!stall) response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const portOf = () => (server.address() as AddressInfo).port
  const plain = () => ({ server: `http://127.0.0.1:${portOf()}`, 'insecure-skip-tls-verify': true })

  const local = (token: string, name = 'local.yaml', cluster: object = plain()) => {
    return kubeconfig(name, JSON.stringify({
      apiVersion: 'v1', kind: 'Config', 'current-context': 'c',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    }))
  }

  test('every call says who we are, and an answer is an answer whatever its status', async () => {
    answer = () => ({ status: 429, body: '{"reason":"TooManyRequests"}', headers: { 'retry-after': '2' } })
    const given = await connect(local('t1')).request({ method: 'PATCH', path: '/x', body: { name: 'Zoë' }, contentType: 'application/json-patch+json', query: { dryRun: 'All', limit: undefined } })
    expect(given).toEqual({ status: 429, body: { reason: 'TooManyRequests' }, retryAfterMs: 2_000 })
    expect(seen.at(-1)).toEqual({ url: '/x?dryRun=All', agent: 'aegis-executor/1', token: 'Bearer t1', type: 'application/json-patch+json', body: '{"name":"Zoë"}' })
  })

  test('an API server below a path, as behind Rancher, is asked there', async () => {
    answer = () => ({ status: 200, body: '{}' })
    const path = local('t1', 'below.yaml', { ...plain(), server: `${plain().server}/k8s/clusters/c-1/` })
    await connect(path).request({ method: 'GET', path: '/api/v1/pods', query: { labelSelector: 'app in (a,b)' } })
    expect(seen.at(-1)?.url).toBe('/k8s/clusters/c-1/api/v1/pods?labelSelector=app+in+%28a%2Cb%29')
  })

  test('a cluster without TLS settings of its own is asked all the same', async () => {
    answer = () => ({ status: 503, body: '{"reason":"ServiceUnavailable"}', headers: { 'retry-after': '1' } })
    // client-node forbids `http:` without the switch above, and only spells it so: this is how to get no dispatcher from it here.
    const path = local('t1', 'bare.yaml', { server: `HTTP://127.0.0.1:${portOf()}` })
    const given = await connect(path).request({ method: 'POST', path: '/x', body: {} })
    expect(given).toEqual({ status: 503, body: { reason: 'ServiceUnavailable' }, retryAfterMs: 1_000 })
    expect(seen.at(-1)).toMatchObject({ agent: 'aegis-executor/1', token: 'Bearer t1', body: '{}' })
  })

  test('a server that hangs up is unavailable, by the code of the socket', async () => {
    const closed = createServer((request) => request.socket.destroy())
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const { port } = closed.address() as AddressInfo
    const asked = (name: string) => connect(local('t1', name, { ...plain(), server: `http://127.0.0.1:${port}` })).request({ method: 'GET', path: '/x' })
    await expect(asked('hangup.yaml')).rejects.toMatchObject({ kind: 'unavailable', message: 'cluster `main` cannot be reached (UND_ERR_SOCKET)' })
    closed.close()
    await expect(asked('nobody.yaml')).rejects.toMatchObject({ kind: 'unavailable', message: 'cluster `main` cannot be reached (ECONNREFUSED)' })
  })

  test('an answer sent elsewhere is not followed: our token is for this server', async () => {
    answer = () => ({ status: 307, body: '', headers: { location: '/elsewhere' } })
    expect(await connect(local('t1')).request({ method: 'GET', path: '/x' })).toEqual({ status: 307, body: null, retryAfterMs: null })
    expect(seen.at(-1)?.url).toBe('/x')
  })

  test('an answer that stalls half-way is unavailable, in time', async () => {
    answer = () => ({ status: 200, body: '{"half":', stall: true })
    const begunMs = Date.now()
    await expect(connect(local('t1'), 300).request({ method: 'GET', path: '/x' })).rejects.toMatchObject({ kind: 'unavailable', message: 'cluster `main` did not answer in time' })
    expect(Date.now() - begunMs).toBeLessThan(2_000)
  })

  test('the page of a proxy is no object', async () => {
    answer = () => ({ status: 502, body: '<html>hunter2</html>' })
    expect(await connect(local('t1')).request({ method: 'GET', path: '/x' })).toEqual({ status: 502, body: null, retryAfterMs: null })
  })

  test('a new token in the file is used without a restart', async () => {
    answer = () => ({ status: 200, body: '{}' })
    const connection = connect(local('t1', 'rotated.yaml'))
    await connection.request({ method: 'GET', path: '/x' })
    local('t2', 'rotated.yaml')
    const now = Date.now()
    jest.spyOn(Date, 'now').mockReturnValue(now + 60_000)
    await connection.request({ method: 'GET', path: '/x' }).finally(() => jest.restoreAllMocks())
    expect(seen.at(-1)?.token).toBe('Bearer t2')
  })
})

test('names are escaped in paths', () => {
  expect(pathOf('pods', 'shop', '../secrets', 'eviction')).toBe('/api/v1/namespaces/shop/pods/..%2Fsecrets/eviction')
})

test('a selector reads as the API wants it', () => {
  expect(
    selectorText({
      matchLabels: { app: 'cart' },
      matchExpressions: [{ key: 'tier', operator: 'In', values: ['a', 'b'] }, { key: 'x', operator: 'Exists' }, { key: 'y', operator: 'DoesNotExist' }, { key: 'z', operator: 'NotIn', values: ['c'] }],
    }),
  ).toBe('app=cart,tier in (a,b),x,!y,z notin (c)')
})
