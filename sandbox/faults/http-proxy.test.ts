import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { parse, stringify } from 'yaml'
import { startApiProxy, type ApiProxy } from './http-proxy.ts'

const directory = mkdtempSync(join(tmpdir(), 'aegis-http-proxy-'))
const kubeconfig = join(directory, 'executor.yaml')
const seen: string[] = []
let behind: Server
let proxy: ApiProxy
let url: string

beforeAll(async () => {
  behind = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`.trim())
    if (request.url?.includes('watch')) return watch(request, response)
    response.writeHead(request.method === 'GET' ? 200 : 201, { 'content-type': 'application/json' }).end('{"answered":true}')
  })
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve))
  const server = `http://127.0.0.1:${(behind.address() as AddressInfo).port}`
  const clusters = [{ name: 'main', cluster: { server, 'certificate-authority-data': 'Y2E=' } }]
  const users = [{ name: 'aegis', user: { token: 'abc', 'client-key-data': 'a2V5', 'client-certificate-data': 'Y2VydA==' } }]
  writeFileSync(kubeconfig, stringify({ clusters, users, contexts: [{ name: 'main', context: { cluster: 'main', user: 'aegis' } }], 'current-context': 'main' }))
})

function watch(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200).write('{"type":"ADDED"}\n')
  request.socket.once('close', () => seen.push('the watch ended'))
}

beforeEach(async () => {
  seen.length = 0
  proxy = await startApiProxy({ kubeconfig, directory })
  url = parse(readFileSync(proxy.kubeconfig, 'utf8')).clusters[0].cluster.server
})
afterEach(() => proxy.close())
afterAll(async () => {
  behind.closeAllConnections()
  await new Promise((resolve) => behind.close(resolve))
  rmSync(directory, { recursive: true })
})

const post = (path = '/api/v1/namespaces/shop/pods/checkout/eviction', body = '{}') => fetch(`${url}${path}`, { method: 'POST', body })
const eviction = { method: 'POST', path: /eviction$/ }

test('the kubeconfig through the proxy keeps the token and neither certificate nor key', () => {
  const { clusters, users } = parse(readFileSync(proxy.kubeconfig, 'utf8'))
  expect(users[0].user).toEqual({ token: 'abc' })
  expect(clusters[0].cluster).toEqual({ server: expect.stringMatching(/^http:\/\/127/), 'insecure-skip-tls-verify': true })
})

test('what no rule names passes, with its headers', async () => {
  const answer = await fetch(`${url}/api/v1/pods?limit=1`, { headers: { authorization: 'Bearer abc' } })
  expect([answer.status, await answer.json()]).toEqual([200, { answered: true }])
  expect(seen).toEqual(['GET /api/v1/pods?limit=1 Bearer abc'])
})

test('a call caught before it is sent, and cut, never reaches the server', async () => {
  const hit = proxy.once({ ...eviction, phase: 'before_send' }, () => 'cut')
  await expect(post()).rejects.toThrow('fetch failed')
  expect((await hit).status).toBeUndefined()
  expect(seen).toEqual([])
})

test('a call caught after it was sent has been carried out, and its caller never learns of it', async () => {
  const hit = proxy.once({ ...eviction, phase: 'after_send' }, () => 'cut')
  await expect(post()).rejects.toThrow('fetch failed')
  expect((await hit).status).toBe(201)
  expect(seen).toHaveLength(1)
})

test('a call caught after its reply has its answer already', async () => {
  const hit = proxy.once({ ...eviction, phase: 'after_reply' })
  expect((await post()).status).toBe(201)
  expect((await hit).status).toBe(201)
})

test('a held call goes out late, even when its caller has given up', async () => {
  let letGo = () => undefined as void
  const held = new Promise<void>((resolve) => (letGo = resolve))
  let caught = () => undefined as void
  const isCaught = new Promise<void>((resolve) => (caught = resolve))
  const hit = proxy.once({ ...eviction, phase: 'before_send' }, () => {
    caught()
    return held
  })
  const abort = new AbortController()
  const sent = fetch(`${url}/eviction`, { method: 'POST', signal: abort.signal })
  await isCaught
  abort.abort()
  await expect(sent).rejects.toThrow('aborted')
  expect(seen).toEqual([])
  const arrived = proxy.once({ method: 'GET', phase: 'after_send' })
  letGo()
  await hit
  await fetch(`${url}/next`)
  await arrived
  expect(seen.filter((line) => line.startsWith('POST'))).toHaveLength(1)
})

test('an effective call is a write that is neither a dry run nor a review', async () => {
  const hit = proxy.once({ effective: true, phase: 'after_reply' })
  await post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews')
  await post('/eviction?dryRun=All')
  await post('/eviction', '{"deleteOptions":{"dryRun":["All"]}}')
  await fetch(`${url}/api/v1/pods`)
  await post('/eviction')
  expect(await hit).toMatchObject({ path: '/eviction', query: '', body: '{}' })
})

test('the nth match is caught, once, and a disarmed trap never', async () => {
  const second = proxy.once({ ...eviction, nth: 2, phase: 'before_send' }, () => 'cut')
  proxy.arm({ ...eviction, phase: 'before_send' }, () => 'cut').disarm()
  expect((await post()).status).toBe(201)
  await expect(post()).rejects.toThrow('fetch failed')
  await second
  expect((await post()).status).toBe(201)
})

test('a watch streams, and ends at the server when its client leaves', async () => {
  const abort = new AbortController()
  const answer = await fetch(`${url}/api/v1/pods?watch=true`, { signal: abort.signal })
  const { value } = await answer.body!.getReader().read()
  expect(new TextDecoder().decode(value)).toBe('{"type":"ADDED"}\n')
  abort.abort()
  for (let attempt = 0; attempt < 200 && !seen.includes('the watch ended'); attempt++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(seen).toContain('the watch ended')
})

test('a server that is down answers nobody until it comes back', async () => {
  proxy.goDown()
  await expect(post()).rejects.toThrow('fetch failed')
  proxy.comeBack()
  expect((await post()).status).toBe(201)
})

test('a failing act cuts the call and is told to who waits', async () => {
  const hit = proxy.once({ ...eviction, phase: 'before_send' }, () => {
    throw new Error('no such process')
  })
  await expect(post()).rejects.toThrow('fetch failed')
  await expect(hit).rejects.toThrow('no such process')
})
