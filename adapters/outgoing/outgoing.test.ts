/** W4: the forms in which a server is talked into asking what it must not. None of them opens a connection. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { addressKind } from './addresses.ts'
import { outgoing, type LookUp } from './fetch.ts'

let server: Server
let port: number
let asked: string[] = []
let answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => void response.end('inside')

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  })
  // Every address of this machine, so that no form is refused by mere luck.
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  port = (server.address() as AddressInfo).port
})
beforeEach(() => (asked = []))
afterAll(() => new Promise<void>((resolve) => {
  server.close(() => resolve())
  server.closeAllConnections()
}))

const leadingTo = (...addresses: string[]): LookUp => (_hostname, _options, answered) =>
  answered(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))

const namedIn = 'AEGIS_TEST'
/** The named place answers nowhere near here: whatever reaches the server came in by a trick. */
const idp = () => outgoing({ origins: ['https://idp.example'], namedIn, lookup: leadingTo('127.0.0.1') })
const refusal = (work: Promise<unknown>) => work.then(() => 'answered', (failure: { code?: string }) => failure.code)

const forms = (at: number): string[] => [
  // Other names for this machine
  `http://127.0.0.1:${at}/`, `http://localhost:${at}/`, `http://localhost.:${at}/`, `http://LOCALHOST:${at}/`, `http://2130706433:${at}/`, `http://0x7f000001:${at}/`,
  `http://0177.0.0.1:${at}/`, `http://127.1:${at}/`, `http://0:${at}/`, `http://0.0.0.0:${at}/`, `http://[::1]:${at}/`, `http://[::]:${at}/`, `http://[::ffff:127.0.0.1]:${at}/`,
  `http://[::ffff:7f00:1]:${at}/`, `http://[0:0:0:0:0:ffff:127.0.0.1]:${at}/`, `http://①②⑦.⓪.⓪.①:${at}/`, `http://１２７.０.０.１:${at}/`, `http://127.0.0.1.nip.io:${at}/`, `https://127.0.0.1:${at}/`,
  // Metadata
  'http://169.254.169.254/latest/meta-data/', 'http://[fd00:ec2::254]/', 'http://metadata.google.internal/', 'http://2852039166/', 'http://[::ffff:a9fe:a9fe]/',
  // The named place, almost
  'http://idp.example/', 'https://idp.example:8443/', 'https://idp.example./', 'https://idp.example.evil.test/', 'https://evil-idp.example/', 'https://evil.test/idp.example', 'https://evil.test#@idp.example/', 'https://evil.test?@idp.example/',
  `https://idp.example@127.0.0.1:${at}/`, `https://idp.example:443@127.0.0.1:${at}/`, `https://127.0.0.1:${at}\\@idp.example/`, 'https://user:pass@idp.example/', 'https://idp.example%00.evil.test/', 'https://іdp.example/', `http:127.0.0.1:${at}`, `//127.0.0.1:${at}/`,
  // Other schemes
  'file:///etc/passwd', 'ftp://idp.example/', 'gopher://idp.example/', 'data:application/json,{}', 'blob:https://idp.example/0', 'javascript:1', 'ws://idp.example/', '/etc/passwd', '',
]

const count = forms(1).length
test(`all ${count} forms of an address that nobody named are refused`, async () => {
  expect(count).toBeGreaterThanOrEqual(40)
  const told = await Promise.all(forms(port).map(async (form) => [form, await refusal(idp().fetch(form))]))
  expect(told.filter(([, code]) => code !== 'outgoing_refused')).toEqual([])
  expect(asked).toEqual([])
})

test.each([
  ['this machine', '127.0.0.1'], ['another of its addresses', '127.8.8.8'], ['this machine, IPv6', '::1'], ['IPv4 in IPv6', '::ffff:127.0.0.1'], ['the old form of it', '::7f00:1'], ['NAT64', '64:ff9b::7f00:1'],
  ['6to4', '2002:7f00:1::'], ['Teredo', '2001::1'], ['any address', '0.0.0.0'], ['any address, IPv6', '::'], ['metadata', '169.254.169.254'], ['metadata in IPv6', '::ffff:169.254.169.254'],
  ['metadata by NAT64', '64:ff9b::a9fe:a9fe'], ['AWS, IPv6', 'fd00:ec2::254'], ['Alibaba', '100.100.100.200'], ['Azure', '168.63.129.16'], ['Oracle', '192.0.0.192'], ['link-local', 'fe80::1'], ['link-local with a zone', 'fe80::1%lo'],
  ['everybody near', '224.0.0.1'], ['everybody near, IPv6', 'ff02::1'], ['broadcast', '255.255.255.255'], ['no address at all', 'localhost'],
])('a named place whose name leads to %s is not asked', async (_name, address) => {
  const told = outgoing({ origins: [`https://idp.example:${port}`], namedIn, lookup: leadingTo(address) })
  expect(await refusal(told.fetch(`https://idp.example:${port}/`))).toBe('outgoing_refused')
  expect(asked).toEqual([])
})

test('one bad address among good ones spoils the name, and a name without any leads nowhere', async () => {
  const origins = [`https://idp.example:${port}`]
  for (const lookup of [leadingTo('203.0.113.7', '127.0.0.1'), leadingTo()]) {
    expect(await refusal(outgoing({ origins, namedIn, lookup }).fetch(`${origins[0]}/`))).toBe('outgoing_refused')
  }
})

test('the name is looked up once, by the connection itself: a second answer has no say', async () => {
  const answers = ['127.0.0.1', '169.254.169.254']
  let times = 0
  const lookup: LookUp = (hostname, options, answered) => leadingTo(answers[times++] ?? '')(hostname, options, answered)
  const here = outgoing({ origins: [`http://localhost:${port}`], namedIn, lookup })
  expect(await (await here.fetch(`http://localhost:${port}/`)).text()).toBe('inside')
  expect(times).toBe(1)
  expect(await refusal(here.fetch(`http://localhost:${port}/`))).toBe('outgoing_refused')
})

describe('a place that is named', () => {
  const here = () => outgoing({ origins: [`http://127.0.0.1:${port}`], namedIn })
  const at = (path: string) => `http://127.0.0.1:${port}${path}`
  afterEach(() => (answer = (_request, response) => void response.end('inside')))

  test('is asked, with method, headers and body, and its answer is whole', async () => {
    answer = (request, response) => {
      let body = ''
      request.on('data', (chunk) => (body += String(chunk)))
      request.on('end', () => response.writeHead(201, { 'x-kind': 'token' }).end(`${request.method} ${request.headers['x-test']} ${body}`))
    }
    const got = await here().fetch(at('/token'), { method: 'POST', headers: { 'x-test': 'yes' }, body: new URLSearchParams({ code: 'a b' }) })
    expect([got.status, got.headers.get('x-kind'), await got.text()]).toEqual([201, 'token', 'POST yes code=a+b'])
  })

  test.each([301, 302, 303, 307, 308])('with a %s leads nowhere else', async (status) => {
    answer = (request, response) => void (request.url === '/from' ? response.writeHead(status, { location: at('/secret') }).end() : response.end('secret'))
    expect(await refusal(here().fetch(at('/from')))).toBe('outgoing_refused')
    expect(asked).toEqual(['/from'])
  })

  test('cannot fill our memory', async () => {
    answer = (_request, response) => {
      const block = Buffer.alloc(1024 * 1024)
      const more = () => {
        while (!response.destroyed && response.write(block)) { /* as fast as it goes */ }
      }
      response.on('drain', more)
      more()
    }
    expect(await refusal(here().fetch(at('/endless')))).toBe('outgoing_refused')
  })

  test('has 5 s in all, however slowly it goes on', async () => {
    answer = (_request, response) => {
      const drip = setInterval(() => response.write('.'), 200)
      response.on('close', () => clearInterval(drip))
    }
    const begun = performance.now()
    expect(await refusal(here().fetch(at('/slow')))).not.toBe('answered')
    expect(performance.now() - begun).toBeLessThan(6_000)
  }, 10_000)

  test('cannot flood us with headers', async () => {
    answer = (_request, response) => void response.writeHead(200, { 'x-long': 'x'.repeat(64 * 1024) }).end()
    expect(await refusal(here().fetch(at('/headers')))).not.toBe('answered')
  })
})

test('plain HTTP to another machine cannot be named', async () => {
  expect(await refusal(outgoing({ origins: ['http://10.0.0.7'], namedIn }).fetch('http://10.0.0.7/'))).toBe('outgoing_refused')
})

test('a private address is an ordinary one: the provider may stand in the same network', () => {
  expect(['10.0.0.7', '172.16.0.1', '192.168.1.1', 'fd12::1', '203.0.113.7', '2606:4700::1'].map(addressKind)).toEqual(Array(6).fill('other'))
})
