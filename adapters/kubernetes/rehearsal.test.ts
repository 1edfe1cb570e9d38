import type { V1Deployment } from '@kubernetes/client-node'
import { deploymentSample } from '../../domain/actions/fixtures/deployment.ts'
import { scaleDeployment } from '../../domain/actions/scale_deployment.ts'
import type { ScaleDeploymentPlan } from '../../domain/plan.ts'
import type { Connection } from './connection.ts'
import { rehearseScale, rehearseUndo } from './rehearsal.ts'

const plan = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as ScaleDeploymentPlan
const options = { keyedDigest: (text: string) => text, remediationId: 'r-1' }
const deployment = (resourceVersion: string, uid = 'd-1') =>
  ({ metadata: { uid, resourceVersion, generation: 4 }, spec: { replicas: 3, template: {} } }) as V1Deployment

/** An API server that holds this Deployment. */
function stage(held: V1Deployment) {
  const asked: string[] = []
  const connection = {
    cluster: 'main',
    async request({ method, body, query }) {
      if (method === 'GET') {
        asked.push('read')
        return { status: 200, body: held, retryAfterMs: null }
      }
      const { metadata, spec } = body as { metadata: { resourceVersion: string }; spec: { replicas: number } }
      asked.push(`${query?.['dryRun']} ${metadata.resourceVersion}`)
      const stale = metadata.resourceVersion !== held.metadata?.resourceVersion
      return { status: stale ? 409 : 200, body: stale ? {} : { ...held, spec: { ...held.spec, replicas: spec.replicas } }, retryAfterMs: null }
    },
  } as Connection
  return { asked, on: { connection, plan, options } }
}

test('what preflight has read is not read again', async () => {
  const { asked, on } = stage(deployment('7'))
  expect(await rehearseScale(on, deployment('7'))).toMatchObject({ result: { sent: 'applied' }, faithful: true, diff: [{ before: '3', after: '5' }] })
  expect(await rehearseUndo(on, deployment('7'))).toMatchObject({ result: { sent: 'applied' } })
  expect(asked).toEqual(['All 7', 'All 7'])
})

test('a status write meanwhile is a conflict, which reads anew', async () => {
  const { asked, on } = stage(deployment('8'))
  expect(await rehearseScale(on, deployment('7'))).toMatchObject({ result: { sent: 'applied' }, faithful: true })
  expect(asked).toEqual(['All 7', 'read', 'All 8'])
})

test('a replacement that took the name meanwhile is another object', async () => {
  const { asked, on } = stage(deployment('8', 'd-2'))
  expect(await rehearseScale(on, deployment('7'))).toMatchObject({ result: { sent: 'other_object' } })
  expect(asked).toEqual(['All 7', 'read'])
})
