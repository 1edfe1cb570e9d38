import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { networkOf } from '../../api/client.ts'
import type { HttpLimitRules } from '../../api/http-limits.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let apis: TestApi[] = []
beforeAll(async () => (db = await openDatabase()))
afterAll(async () => {
  await Promise.all(apis.map((api) => api.close()))
  await db.close()
})

const much = { limit: 1_000, windowMs: 60_000 }
async function open(limits: Partial<HttpLimitRules>): Promise<TestApi> {
  const api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null, limits: { principal: much, route: much, address: much, ...limits } })
  apis.push(api)
  return api
}
const three = { limit: 3, windowMs: 60_000 }
const forged = `aegis_00000000_${'A'.repeat(43)}`

describe('calls of one principal', () => {
  test('to one route are limited, with when to come again, and nobody else is', async () => {
    const api = await open({ route: three })
    const [ann, ben] = await Promise.all(['ann', 'ben'].map((owner) => keyFor(db.api, ['user'], owner)))
    const got = await Promise.all(times(8, () => api.call('GET', '/api/v1/freeze', { key: ann!.key })))
    expect(got.filter(({ status }) => status === 200)).toHaveLength(3)
    const refused = got.find(({ status }) => status === 429)!
    expect(refused.problem).toMatchObject({ code: 'rate_limited', detail: expect.stringMatching(/3 calls within 60 s, which is the limit, of `GET \/api\/v1\/freeze` of this API process/), nextStep: expect.stringContaining('AEGIS_HTTP_LIMITS') })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(55)
    expect((await api.call('GET', '/api/v1/freeze', { key: ben!.key })).status).toBe(200)
    expect((await api.call('GET', '/api/v1/remediations', { key: ann!.key })).status).toBe(200)
  })

  test('are limited in all, refused ones of one route not among them', async () => {
    const api = await open({ principal: three })
    const { key } = await keyFor(db.api, ['user'])
    const paths = ['/api/v1/freeze', '/api/v1/remediations', '/api/v1/autonomy', '/api/v1/freeze']
    const statuses: number[] = []
    for (const path of paths) statuses.push((await api.call('GET', path, { key })).status)
    expect(statuses).toEqual([200, 200, 200, 429])
  })
})

describe('calls that nobody can be named for', () => {
  test('are bounded by address, before their credential is looked up; health is exempt', async () => {
    const api = await open({ address: three })
    const { key } = await keyFor(db.api, ['user'])
    expect((await api.call('GET', '/api/v1/freeze', { key })).status).toBe(200)
    const statuses: number[] = []
    for (const sent of [{}, { key: forged }, { key: forged }, { key: forged }, {}]) statuses.push((await api.call('GET', '/api/v1/freeze', sent)).status)
    expect(statuses).toEqual([401, 401, 401, 429, 429])
    expect((await api.call('GET', '/nowhere')).status).toBe(429)
    for (const path of ['/api/v1/health', '/api/v1/health/ping', '/health', '/metrics']) expect((await api.call('GET', path)).status).not.toBe(429)
  })

  test('calls behind a proxy count by the address that the proxy saw, whatever the caller says', async () => {
    const api = await open({ address: three })
    const asked = async (forwarded: string) => (await api.call('GET', '/nowhere', { headers: { 'x-forwarded-for': forwarded, 'x-real-ip': forwarded, forwarded: `for=${forwarded}` } })).status
    // The proxy appends what it saw; what stands before it is the caller's own word.
    const statuses: number[] = []
    for (const claimed of ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4', '127.0.0.1']) statuses.push(await asked(`${claimed}, 9.9.9.9`))
    expect(statuses).toEqual([404, 404, 404, 429, 429])
    expect(await asked('9.9.9.9, 8.8.8.8')).toBe(404)
  })

  test('paths that lead nowhere count as well', async () => {
    const api = await open({ address: three })
    for (const _ of times(3, () => 0)) expect((await api.call('GET', '/nowhere')).status).toBe(404)
    expect((await api.call('GET', '/nowhere')).problem.code).toBe('rate_limited')
  })
})

test.each([
  ['10.0.0.7', '10.0.0.7'],
  ['::ffff:10.0.0.7', '10.0.0.7'],
  ['2001:DB8:0:1::7', '2001:db8:0:1::/64'],
  ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
])('%s belongs to %s', (address, network) => expect(networkOf(address)).toBe(network))
