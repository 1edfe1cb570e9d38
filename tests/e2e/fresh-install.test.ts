import { expect, test } from '@jest/globals'
import { join } from 'node:path'
import { startAegis } from '../../sandbox/aegis.ts'
import { mutationsBy } from '../../sandbox/audit.ts'
import { alert, webhook } from '../helpers/alerts.ts'
import { openJudge } from '../helpers/judge.ts'
import { operator } from '../helpers/operator.ts'
import { clusterNamed, eventually, freshDatabase, stack } from '../helpers/stack.ts'
import { name, subjectFor } from '../helpers/subjects.ts'
import { ownTemporalNamespace } from '../helpers/temporal.ts'

const main = clusterNamed('main')

test('a fresh install looks, records what it would have done, and touches nothing', async () => {
  const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'fresh' })
  const database = await freshDatabase()
  const directory = join(stack.directory, 'e2e-fresh')
  const env = { TEMPORAL_NAMESPACE: await ownTemporalNamespace(stack.temporal.address) }
  const aegis = await startAegis({ stack: { ...stack, clusters: [main] }, directory, stackDirectory: stack.directory, database, env, watcher: false })
  const judge = openJudge(main, database)
  try {
    const admin = operator(aegis.url, aegis.apiKey)
    // Who asks for work is looked up every few seconds: the first look may have come before the workers.
    const health = await eventually('all is ready', async () => {
      const said = await admin.must('GET', '/api/v1/health')
      return said['status'] === 'ready' && said
    })
    expect(health).toMatchObject({ decision: { ok: true }, execution: { ok: true } })
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
