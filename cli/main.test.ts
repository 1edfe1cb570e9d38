import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { commands, main } from './main.ts'
import { printable, table } from './output.ts'
import { requestOf } from './remediations.ts'
import { whichOf } from './stopping.ts'

/** A server that says one thing and remembers what it was asked. */
async function answering(status: number, type: string, body: unknown) {
  const asked: { method: string; url: string; body: unknown; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    void textOf(request).then((text) => {
      const { method = '', url = '', headers } = request
      asked.push({ method, url, body: text === '' ? undefined : JSON.parse(text), authorization: headers.authorization })
      response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

async function run(args: string[], env: NodeJS.ProcessEnv) {
  let out = ''
  let err = ''
  const write = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) }
  const code = await main(args, { ...write, terminal: false, env, directory: '/nonexistent' })
  return { code, out, err }
}

const id = '0197a000-0000-7000-8000-000000000001'
const problem = {
  type: 'urn:aegis:problem:namespace_not_allowed', title: 'Forbidden', status: 403, detail: '`target.namespace`: `bank` is not among the namespaces Aegis may act in',
  instance: '/api/v1/remediations', code: 'namespace_not_allowed', requestId: 'r-1', errors: [], nextStep: 'add it to AEGIS_NAMESPACES',
}

test('a request goes out in the words of the API, with the key, and its id comes back', async () => {
  const server = await answering(202, 'application/json', { id, url: `/api/v1/remediations/${id}`, accepted: 'new' })
  const { code, out } = await run(['remediate', 'scale_deployment', 'shop/cart', '--replicas', '4', '--reason', 'slow'], { AEGIS_URL: server.url, AEGIS_API_KEY: 'k' })
  await server.close()
  expect({ code, first: out.split('\n')[0] }).toEqual({ code: 0, first: `accepted: ${id}` })
  expect(server.asked).toEqual([{
    method: 'POST', url: '/api/v1/remediations', authorization: 'Bearer k',
    body: { action: 'scale_deployment', target: { namespace: 'shop', kind: 'Deployment', name: 'cart' }, parameters: { replicas: 4 }, reason: 'slow' },
  }])
})

test('a refusal ends with 1 and shows the detail and the next step', async () => {
  const server = await answering(403, 'application/problem+json', problem)
  const env = { AEGIS_URL: server.url, AEGIS_API_KEY: 'k' }
  const plain = await run(['list'], env)
  const json = await run(['list', '--json'], env)
  await server.close()
  expect(plain).toEqual({ code: 1, out: '', err: `${problem.detail} (namespace_not_allowed, request r-1)\nnext: add it to AEGIS_NAMESPACES\n` })
  expect(json.code).toBe(1)
  expect(JSON.parse(json.err)).toEqual({ error: problem.detail, problem, nextStep: problem.nextStep })
})

test('an API that is not there ends with 1, not with a stack trace', async () => {
  const server = await answering(200, 'application/json', {})
  await server.close()
  const { code, err } = await run(['list'], { AEGIS_URL: server.url, AEGIS_API_KEY: 'k' })
  expect(code).toBe(1)
  expect(err).toMatch(/does not answer \(ECONNREFUSED\)/)
})

test.each([
  ['an unknown command', ['heal']],
  ['an unknown option', ['list', '--everything']],
  ['too few arguments', ['show']],
  ['too many arguments', ['status', 'now']],
  ['no target', ['remediate', 'restart_pod', 'cart']],
  ['a number that is none', ['remediate', 'scale_deployment', 'shop/cart', '--replicas', 'many']],
  ['facts that are not JSON', ['policy', 'explain', 'pod:restart', 'k8s:a/b/pod/c', '--context', '{']],
  ['half of a two-word command', ['key']],
  ['nothing at all', []],
])('%s is bad usage', async (_name, args) => {
  expect((await run(args, { AEGIS_URL: 'http://127.0.0.1:9', AEGIS_API_KEY: 'k' })).code).toBe(2)
})

test('without an address it says how to give one', async () => {
  expect(await run(['list'], {})).toMatchObject({ code: 2, err: expect.stringContaining('set AEGIS_URL and AEGIS_API_KEY') })
})

test('a key from the environment is not sent to an address from a file, nor the other way round', async () => {
  const server = await answering(200, 'application/json', { items: [], next: null })
  await run(['list'], { AEGIS_URL: server.url })
  await server.close()
  expect(server.asked[0]?.authorization).toBeUndefined()
})

test('every command explains itself', async () => {
  for (const [name, { usage }] of Object.entries(commands)) {
    expect(await run([...name.split(' '), '--help'], {})).toMatchObject({ code: 0, out: expect.stringContaining(usage) })
  }
})

test('targets and workloads are read from one word', () => {
  const target = (text: string) => (requestOf({ positionals: ['restart_pod', text], options: {} }) as { target: object }).target
  expect(target('shop/cart-1')).toEqual({ namespace: 'shop', kind: 'Pod', name: 'cart-1' })
  expect(target('east/shop/cart-1')).toEqual({ cluster: 'east', namespace: 'shop', kind: 'Pod', name: 'cart-1' })
  expect(whichOf(id)).toEqual({ id })
  expect(whichOf('east/shop/Deployment/cart')).toEqual({ workload: { cluster: 'east', namespace: 'shop', kind: 'Deployment', name: 'cart' } })
})

test('stored text cannot steer the terminal', () => expect(printable('\u001b[2Jgone\u0007')).toBe('\uFFFD[2Jgone\uFFFD'))

test('tables line up', () => expect(table(['A', 'B'], [['longer', 'x'], ['s', '']])).toEqual(['A       B', 'longer  x', 's']))
