import { expect, test } from '@jest/globals'
import { outgoing, waysOut } from './outgoing.ts'

test.each([
  ['fetch', 'const got = await fetch(url)'],
  ['fetch by another name', 'const get = globalThis.fetch'],
  ['a request of node:http', `import { createServer, request } from 'node:http'`],
  ['a request over TLS by another name', `import { request as send } from 'https'`],
  ['an agent', `import { Agent } from 'node:https'`],
  ['http.get', 'http.get(url, done)'],
  ['undici', `import { Agent } from 'undici'`],
  ['undici, later', `await import('undici')`],
  ['another client', `import axios from 'axios'`],
  ['a socket', `import { connect } from 'node:net'`],
  ['TLS', `import tls from 'node:tls'`],
  ['HTTP/2', `import { connect } from 'node:http2'`],
  ['a WebSocket', 'new WebSocket(url)'],
  ['a look-up', `import { lookup } from 'node:dns/promises'`],
  ['another provider', `import * as client from 'openid-client'`],
  ['keys of somebody else’s', 'const keys = createRemoteJWKSet(url)'],
])('%s in a new place is a finding', (_name, line) => {
  expect(waysOut('api/notify.ts', `// a comment\n${line}\n`)).toEqual([expect.stringMatching(/^api\/notify\.ts:2: uses /)])
})

test.each([
  ['the guard', 'await asked.fetch(address, asking)'],
  ['a server', `import { createServer, type IncomingMessage } from 'node:http'`],
  ['types', `import type { RequestOptions, Agent } from 'node:http'`],
  ['an address', `import { BlockList, isIP, type AddressInfo } from 'node:net'`],
])('%s is none', (_name, line) => expect(waysOut('api/notify.ts', line)).toEqual([]))

test('the product has no way out but those of the list', async () => {
  expect(await outgoing.run(process.cwd())).toEqual([])
})
