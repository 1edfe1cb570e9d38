import { expect, test } from '@jest/globals'
import { Connection } from '@temporalio/client'
import { msToTs } from '@temporalio/common/lib/time.js'
import { temporal } from '@temporalio/proto'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { startAegis } from '../../sandbox/aegis.ts'
import { mutationsBy } from '../../sandbox/audit.ts'
import { alert, webhook } from '../helpers/alerts.ts'
import { openJudge } from '../helpers/judge.ts'
import { operator } from '../helpers/operator.ts'
import { clusterNamed, eventually, freshDatabase, stack } from '../helpers/stack.ts'
import { name, subjectFor } from '../helpers/subjects.ts'
import { searchAttributes } from '../../temporal/names.ts'

const { IndexedValueType } = temporal.api.enums.v1

const main = clusterNamed('main')

/** As docker-compose.yml has it: not `default`. Workers that poll another namespace than runs start in heal nothing. */
async function ownTemporalNamespace(): Promise<string> {
  const namespace = `fresh-${randomUUID().slice(0, 8)}`
  const connection = await Connection.connect({ address: stack.temporal.address })
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') })
  const types = Object.values(searchAttributes).map(({ name, type }) => [name, type === 'BOOL' ? IndexedValueType.INDEXED_VALUE_TYPE_BOOL : IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD])
  await eventually('the namespace takes its search attributes', async () => {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(types) })
    return true
  })
  await connection.close()
  return namespace
}

test('a fresh install looks, records what it would have done, and touches nothing', async () => {
  const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'fresh' })
  const database = await freshDatabase()
  const directory = join(stack.directory, 'e2e-fresh')
  const env = { TEMPORAL_NAMESPACE: await ownTemporalNamespace() }
  const aegis = await startAegis({ stack: { ...stack, clusters: [main] }, directory, stackDirectory: stack.directory, database, env, watcher: false })
  const judge = openJudge(main, database)
  try {
    const admin = operator(aegis.url, aegis.apiKey)
    const { results } = await admin.must('POST', '/api/v1/alerts', webhook([alert({ namespace, deployment: name })]))
    expect(await judge.closed((results as { id: string }[])[0]!.id)).toMatchObject({ outcome: 'observed' })
    expect(await judge.closed(await admin.remediate(request))).toMatchObject({ outcome: 'observed' })
    const inSystem = { ...request, target: { ...request.target, namespace: 'kube-system' } }
    expect(await admin.ask('POST', '/api/v1/remediations', inSystem)).toMatchObject({ status: 403, body: { errors: [{ field: 'target.namespace' }] } })
    expect(mutationsBy(main, { userAgentPrefix: 'aegis-executor/', namespace })).toEqual([])
  } finally {
    await aegis.stop()
    await judge.close()
    await database.drop()
  }
})
