import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { actionNames } from '../../domain/remediation.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { operator, type Operator } from '../helpers/operator.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { subjectFor, type Subject } from '../helpers/subjects.ts'
import { openTemporal, type TemporalDoor } from '../helpers/temporal.ts'
import { recordOf } from './crash-points.ts'

/** X6: the same request fifty times at once, through two API processes. */
let faulty: FaultyAegis
let temporal: TemporalDoor
let doors: Operator[]

beforeAll(async () => {
  faulty = await startFaultyAegis({ apis: 2 })
  temporal = await openTemporal(stack.temporal.address)
  doors = faulty.aegis.apis.map(({ url }) => operator(url, faulty.aegis.apiKey))
})
afterAll(async () => {
  await temporal?.close()
  await faulty?.stop()
})

const times = 50

async function askOften({ request }: Subject, key: string): Promise<string[]> {
  const answers = await Promise.all(
    Array.from({ length: times }, (_, index) => doors[index % doors.length]!.ask('POST', '/api/v1/remediations', request, { 'idempotency-key': key })),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
  return [...new Set(answers.map(({ body }) => String(body['id'])))]
}

test.each(actionNames)('%s: fifty requests are one remediation with one effect, also after Temporal has forgotten it', async (action) => {
  expect(doors).toHaveLength(2)
  const subject = await subjectFor(faulty.cluster, action)
  const key = randomUUID()
  const [id = '', ...others] = await askOften(subject, key)
  expect(others).toEqual([])
  expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'healed' })
  const once = await recordOf(faulty, { id, namespace: subject.namespace })
  expect(once.effects).toHaveLength(1)

  await temporal.delete(id)
  await eventually('Temporal has forgotten the workflow', () => temporal.handle(id).describe().then(() => false, () => true))
  expect(await askOften(subject, key)).toEqual([id])
  expect(await faulty.judge.rows('select id from ledger.request where namespace = $1', [subject.namespace])).toEqual([{ id }])
  // A second request, which the relay takes after everything before it, shows that nothing was started for the first.
  const next = await faulty.operator.remediate((await subjectFor(faulty.cluster, 'scale_deployment')).request)
  await faulty.judge.closed(next)
  await expect(temporal.handle(id).describe()).rejects.toThrow()
  expect(await recordOf(faulty, { id, namespace: subject.namespace })).toEqual(once)
}, 60_000)

test('the same key with another wish is refused', async () => {
  const subject = await subjectFor(faulty.cluster, 'scale_deployment')
  const key = randomUUID()
  const [id = ''] = await askOften(subject, key)
  const other = { ...subject.request, parameters: { replicas: 5 } }
  const answers = await Promise.all(doors.map((door) => door.ask('POST', '/api/v1/remediations', other, { 'idempotency-key': key })))
  expect(answers.map(({ status }) => status)).toEqual([409, 409])
  await faulty.judge.closed(id)
  expect(faulty.judge.effects(subject.namespace)).toHaveLength(1)
}, 60_000)
