import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { matches, startPostgresProxy, type PostgresProxy } from './postgres-proxy.ts'
import { boundValues, messageReader, startupParameters } from './postgres-wire.ts'

/** As much of a server as a client needs to believe in: it lets everybody in and does whatever it is told. */
const done: string[] = []
let behind: Server
let proxy: PostgresProxy
let client: pg.Client

const message = (type: string, payload = Buffer.alloc(0)) => {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}
const ready = message('Z', Buffer.from('I'))
const complete = message('C', Buffer.from('SELECT 0\0'))

beforeAll(async () => {
  behind = createServer((socket: Socket) => {
    const read = messageReader({ startsWithout: 'type' })
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      for (const { type, payload } of read(chunk)) {
        if (type === '') socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready]))
        if (type === 'Q' || type === 'P') done.push(payload.toString().replaceAll('\0', ' ').trim())
        if (type === 'Q') socket.write(Buffer.concat([complete, ready]))
        if (type === 'S') socket.write(Buffer.concat([message('1'), message('2'), message('n'), complete, ready]))
      }
    })
  })
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve))
})
beforeEach(async () => {
  done.length = 0
  proxy = await startPostgresProxy({ to: `127.0.0.1:${(behind.address() as AddressInfo).port}` })
  client = connection('aegis-execution-main')
  client.on('error', () => undefined)
  await client.connect()
})
const connection = (application: string) =>
  new pg.Client({ connectionString: `postgresql://someone@${proxy.address}/aegis`, application_name: application })
afterEach(async () => {
  await client.end().catch(() => undefined)
  await proxy.close()
})
afterAll(() => new Promise<void>((resolve) => behind.close(() => resolve())))

test('statements pass, plain and with values', async () => {
  await client.query('select 1')
  await client.query('select $1::text', ['two'])
  expect(done).toEqual(['select 1', 'select $1::text'])
})

test('a statement is told by its text, its values and its application, and cut before it is sent', async () => {
  const hit = proxy.once({ application: /^aegis-execution/, sql: /append/, values: [/^step\/executeAction\//], phase: 'before_send' }, () => 'cut')
  await client.query('select append($1)', ['step/verify/1'])
  await expect(client.query('select append($1)', ['step/executeAction/1'])).rejects.toThrow(/terminated/)
  expect(await hit).toMatchObject({ application: 'aegis-execution-main', values: ['step/executeAction/1'] })
  expect(done).toEqual(['select append($1)'])
})

test('a prepared statement is told by its text when only its name is sent', async () => {
  const prepared = (id: string) => client.query({ name: 'insert-intent', text: 'insert into intent values ($1)', values: [id] })
  await prepared('id-1')
  const hit = proxy.once({ sql: /insert into intent/, values: [/^id-2$/], phase: 'before_send' }, () => 'cut')
  await expect(prepared('id-2')).rejects.toThrow(/terminated/)
  expect(await hit).toMatchObject({ sql: 'insert into intent values ($1)', values: ['id-2'] })
  expect(done).toEqual(['insert-intent insert into intent values ($1)'])
})

test('a commit is told by what it commits, and cut once it is done', async () => {
  const hit = proxy.once({ commitOf: { sql: /insert into intent/, values: [/^id-2$/] }, phase: 'after_send' }, () => 'cut')
  for (const id of ['id-1', 'id-2']) {
    const transaction = (async () => {
      await client.query('BEGIN;')
      await client.query('select * from request where id = $1', [id])
      await client.query('insert into intent values ($1)', [id])
      await client.query('COMMIT;')
    })()
    if (id === 'id-1') await transaction
    else await expect(transaction).rejects.toThrow(/terminated/)
  }
  expect((await hit).before.map(({ sql }) => sql)).toEqual(['select * from request where id = $1', 'insert into intent values ($1)'])
  expect(done.filter((sql) => sql === 'COMMIT;')).toHaveLength(2)
})

test('a statement caught after its reply has its answer', async () => {
  const hit = proxy.once({ sql: /select 1/, phase: 'after_reply' })
  await client.query('select 1')
  await hit
})

test('a paused network swallows everything and cuts nothing', async () => {
  proxy.pause()
  let answered = false
  const asked = client.query('select 1').then(() => (answered = true))
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect([answered, done]).toEqual([false, []])
  proxy.resume()
  await asked
})

test('a server that is gone ends connections and takes none, until it is back', async () => {
  const ended = new Promise((resolve) => client.once('end', resolve))
  proxy.goDown()
  await ended
  await expect(connection('another').connect()).rejects.toThrow(/\S/)
  proxy.comeBack()
  const again = connection('another')
  await again.connect()
  await again.end()
})

test('messages are read whole, however the bytes come', () => {
  const read = messageReader({ startsWithout: 'nothing' })
  const bytes = Buffer.concat([message('Q', Buffer.from('select 1\0')), message('S')])
  const found = Array.from(bytes, (byte) => read(Buffer.from([byte]))).flat()
  expect(found.map(({ type }) => type)).toEqual(['Q', 'S'])
})

test('values are read from a bind message, an absent one as nothing', () => {
  const value = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
  const payload = Buffer.concat([Buffer.from('\0\0'), Buffer.from([0, 0, 0, 2]), value('a'), Buffer.from([255, 255, 255, 255]), Buffer.from([0, 0])])
  expect(boundValues(payload)).toEqual(['a', ''])
  expect(startupParameters(Buffer.from('\0\0\0\0user\0me\0application_name\0x\0\0'))).toMatchObject({ user: 'me', application_name: 'x' })
})

test('a rule without conditions matches everything', () => {
  expect(matches({}, { application: '', sql: '', values: [], before: [] })).toBe(true)
})
