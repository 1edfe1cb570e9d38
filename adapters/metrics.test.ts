import { createRegistry, healthServer, type HealthServer, type Readiness } from './metrics.ts'

let server: HealthServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

const start = async (ready: () => Readiness | Promise<Readiness>, live = true) => {
  server = await healthServer({ port: 0, live: () => live, ready, registry: createRegistry('test') })
  const { port } = server
  return async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: response.status, text: await response.text() }
  }
}

test('a ready process says so, with its figures', async () => {
  const get = await start(() => ({ ok: true }))
  expect(await get('/live')).toEqual({ status: 200, text: '{"ok":true}\n' })
  expect((await get('/ready')).status).toBe(200)
  expect((await get('/metrics')).text).toContain('process_cpu_seconds_total{service="test"}')
  expect((await get('/')).status).toBe(404)
})

test('a process that is not ready, or cannot tell, answers 503 with the reason', async () => {
  const get = await start(() => Promise.reject(new Error('the database does not answer')))
  expect(await get('/ready')).toEqual({ status: 503, text: '{"ok":false,"reason":"the database does not answer"}\n' })
  expect((await get('/live')).status).toBe(200)
})

test('a readiness check that hangs is cut off', async () => {
  const get = await start(() => new Promise(() => undefined))
  expect((await get('/ready')).status).toBe(503)
})
