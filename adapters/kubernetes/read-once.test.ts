import type { Call, Connection } from './connection.ts'
import { readOnce } from './read-once.ts'

const stage = () => {
  const sent: Call[] = []
  const connection = { cluster: 'main', request: async (call) => ({ status: 200, body: sent.push(call), retryAfterMs: null }) } as Connection
  return { sent, once: readOnce(connection) }
}

test('an address is read once, also by those who ask at the same time', async () => {
  const { sent, once } = stage()
  const read = () => once.request({ method: 'GET', path: '/x' })
  const [first, second] = await Promise.all([read(), read()])
  expect([first, second, await read()].map(({ body }) => body)).toEqual([1, 1, 1])
  expect(sent).toHaveLength(1)
})

test('another question is another read, and what is written is sent each time', async () => {
  const { sent, once } = stage()
  await once.request({ method: 'GET', path: '/x' })
  await once.request({ method: 'GET', path: '/x', query: { labelSelector: 'a=b' } })
  await once.request({ method: 'POST', path: '/x', body: {} })
  await once.request({ method: 'POST', path: '/x', body: {} })
  expect(sent).toHaveLength(4)
})
