import { afterEach, expect, test } from '@jest/globals'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openLoop } from './open-loop.ts'

let server: Server
afterEach(() => new Promise((done) => server.close(done)))

/** Answers at once, except that it does nothing at all between the two times after its first request. */
async function serverThat(answers: (sinceFirstMs: number) => { afterMs: number; status: number }): Promise<string> {
  let first: number | undefined
  server = createServer((request, response) => {
    request.resume()
    const { afterMs, status } = answers(performance.now() - (first ??= performance.now()))
    setTimeout(() => response.writeHead(status).end(), afterMs)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const bodies = ['{}']

test('what waits behind a pause is counted from when it was due', async () => {
  const url = await serverThat((since) => ({ afterMs: Math.max(0, 600 - since), status: 200 }))
  const { sent, failed, p99, p50 } = await openLoop({ url, key: 'k', bodies }, 100, 1)
  expect({ sent, failed }).toEqual({ sent: 100, failed: 0 })
  expect(p99).toBeGreaterThan(500)
  expect(p50).toBeGreaterThan(50)
})

test('a refusal is no answer', async () => {
  const url = await serverThat((since) => ({ afterMs: 0, status: since > 0 ? 503 : 200 }))
  expect(await openLoop({ url, key: 'k', bodies }, 50, 1)).toMatchObject({ sent: 50, failed: 49 })
})
