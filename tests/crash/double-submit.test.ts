import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { WorkflowNotFoundError } from '@temporalio/client'
import { actionNames } from '../../domain/remediation.ts'
import { freePorts } from '../../sandbox/ports.ts'
import { startTemporal } from '../../sandbox/servers/temporal.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { operator, type Operator } from '../helpers/operator.ts'
import { stack } from '../helpers/stack.ts'
import { subjectFor, type Subject } from '../helpers/subjects.ts'
import { openTemporal } from '../helpers/temporal.ts'
import { recordOf } from './crash-points.ts'

/** X6: the same request fifty times at once, through two API processes. */
let faulty: FaultyAegis
let doors: Operator[]

beforeAll(async () => {
  faulty = await startFaultyAegis({ apis: 2 })
  doors = faulty.aegis.apis.map(({ url }) => operator(url, faulty.aegis.apiKey))
})
afterAll(() => faulty?.stop())

const times = 50

async function askOften({ request }: Subject, key: string): Promise<string[]> {
  const answers = await Promise.all(
    Array.from({ length: times }, (_, index) => doors[index % doors.length]!.ask('POST', '/api/v1/remediations', request, { 'idempotency-key': key })),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
  return [...new Set(answers.map(({ body }) => String(body['id'])))]
}

test('fifty requests are one remediation with one effect, also when Temporal has forgotten it', async () => {
  expect(doors).toHaveLength(2)
  const asked = await Promise.all(actionNames.map(async (action) => ({ key: randomUUID(), subject: await subjectFor(faulty.cluster, action) })))
  const done = await Promise.all(
    asked.map(async ({ key, subject }) => {
      const [id = '', ...others] = await askOften(subject, key)
      expect(others).toEqual([])
      expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'healed' })
      const record = await recordOf(faulty, { id, namespace: subject.namespace })
      expect(record.effects).toHaveLength(1)
      return { key, subject, id, record }
    }),
  )

  const [port = 0, uiPort = 0] = await freePorts(2)
  const forgetful = await startTemporal({ directory: stack.directory, port, uiPort })
  const temporal = await openTemporal(forgetful.address)
  try {
    faulty.temporal.redirect(forgetful.address)
    for (const { key, subject, id } of done) expect(await askOften(subject, key)).toEqual([id])
    // The relay takes requests in their order: once a later one has ended, the repeated ones were not started again.
    const later = await faulty.operator.remediate((await subjectFor(faulty.cluster, 'scale_deployment')).request)
    await faulty.judge.closed(later)
    await expect(temporal.handle(later).describe()).resolves.toBeDefined()
    for (const { subject, id, record } of done) {
      await expect(temporal.handle(id).describe()).rejects.toThrow(WorkflowNotFoundError)
      expect(await faulty.judge.rows('select id from ledger.request where namespace = $1', [subject.namespace])).toEqual([{ id }])
      expect(await recordOf(faulty, { id, namespace: subject.namespace })).toEqual(record)
    }
  } finally {
    faulty.temporal.redirect(stack.temporal.address)
    await temporal.close()
    process.kill(forgetful.pid, 'SIGKILL')
  }
}, 120_000)

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
