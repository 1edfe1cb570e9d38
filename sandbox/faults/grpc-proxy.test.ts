import { connect, createServer, type ClientHttp2Session, type Http2Server, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { startGrpcProxy, type GrpcProxy } from './grpc-proxy.ts'

const seen: string[] = []
const sessions: ServerHttp2Session[] = []
let behind: Http2Server
let proxy: GrpcProxy
let session: ClientHttp2Session

beforeAll(async () => {
  behind = createServer()
  behind.on('session', (each) => void sessions.push(each))
  behind.on('stream', (stream, headers) => {
    const method = headers[':path']?.split('/').at(-1) ?? ''
    seen.push(method)
    stream.on('error', () => undefined)
    stream.on('aborted', () => seen.push(`${method} was left`))
    if (method === 'Poll') return
    if (method === 'Fail') return stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(frame('done'))
  })
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve))
})
beforeEach(async () => {
  seen.length = 0
  proxy = await startGrpcProxy({ to: `127.0.0.1:${(behind.address() as AddressInfo).port}` })
  session = connect(`http://${proxy.address}`)
  session.on('error', () => undefined)
})
afterEach(async () => {
  session.destroy()
  await proxy.close()
})
afterAll(() => {
  for (const each of sessions) each.destroy()
  return new Promise<void>((resolve) => behind.close(() => resolve()))
})

function frame(text: string, compressed = false): Buffer {
  const message = compressed ? gzipSync(text) : Buffer.from(text)
  const head = Buffer.alloc(5)
  head[0] = compressed ? 1 : 0
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

type Outcome = { status: unknown; text: string }
const call = (method: string, text: string, compressed = false) =>
  new Promise<Outcome>((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': `/service/${method}`, 'grpc-encoding': 'gzip' })
    const outcome: Outcome = { status: undefined, text: '' }
    stream.on('response', (headers) => void (outcome.status = headers['grpc-status']))
    stream.on('trailers', (trailers) => void (outcome.status = trailers['grpc-status']))
    stream.on('data', (chunk: Buffer) => void (outcome.text += chunk.subarray(5).toString()))
    stream.on('end', () => (outcome.status === undefined ? reject(new Error('lost')) : resolve(outcome)))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('closed')))
    stream.end(frame(text, compressed))
  })

test('calls pass with their trailers, and so does a refusal without a body', async () => {
  expect(await call('Start', 'hello')).toEqual({ status: '0', text: 'done' })
  expect(await call('Fail', 'hello')).toEqual({ status: '5', text: '' })
})

test.each([false, true])('a call is told by its method and its text, compressed %s, and cut before it is sent', async (compressed) => {
  const hit = proxy.once({ method: /^Complete$/, text: [/task-1/, /worker-a/], phase: 'before_send' }, () => 'cut')
  expect(await call('Complete', 'task-2 worker-a', compressed)).toEqual({ status: '0', text: 'done' })
  await expect(call('Complete', 'task-1 worker-a', compressed)).rejects.toThrow('lost')
  expect((await hit).method).toBe('Complete')
  expect(seen).toEqual(['Complete'])
})

test('a call cut after it was sent has been carried out', async () => {
  const hit = proxy.once({ method: /Complete/, phase: 'after_send' }, () => 'cut')
  await expect(call('Complete', '')).rejects.toThrow('lost')
  await hit
  expect(seen).toEqual(['Complete'])
})

test('a call caught after its reply has its answer', async () => {
  const hit = proxy.once({ method: /Complete/, phase: 'after_reply' })
  expect(await call('Complete', '')).toEqual({ status: '0', text: 'done' })
  await hit
})

test('a long poll ends at the server when its caller is gone', async () => {
  const polling = call('Poll', '')
  polling.catch(() => undefined)
  for (let attempt = 0; attempt < 200 && !seen.includes('Poll'); attempt++) await new Promise((resolve) => setTimeout(resolve, 10))
  session.destroy()
  for (let attempt = 0; attempt < 200 && seen.length < 2; attempt++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(seen).toEqual(['Poll', 'Poll was left'])
})

test('a server that wants a fresh connection gets one, and a call to a server that is gone is unavailable', async () => {
  expect((await call('Start', '')).status).toBe('0')
  const serverSide = await new Promise<ServerHttp2Session>((resolve) => {
    behind.once('stream', (stream) => resolve(stream.session as ServerHttp2Session))
    void call('Start', '')
  })
  serverSide.goaway()
  expect((await call('Start', '')).status).toBe('0')
  proxy.redirect('127.0.0.1:1')
  session = connect(`http://${proxy.address}`)
  expect((await call('Start', '')).status).toBe('14')
})
