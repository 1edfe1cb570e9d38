import type { V1Deployment } from '@kubernetes/client-node'
import { deploymentSample } from '../../domain/actions/fixtures/deployment.ts'
import { scaleDeployment } from '../../domain/actions/scale_deployment.ts'
import type { ScaleDeploymentPlan } from '../../domain/plan.ts'
import type { Connection } from './connection.ts'
import { autoscalersOn, shortagesFor } from './surroundings.ts'

const plan = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as ScaleDeploymentPlan

/** An API server that holds these lists, by resource; a kind it does not know is not served. */
function stage(lists: Record<string, unknown[]>) {
  const asked: string[] = []
  const connection = {
    cluster: 'main',
    async request({ path }) {
      const resource = path.split('/').at(-1)!
      asked.push(resource)
      const items = lists[resource]
      return { status: items ? 200 : 404, body: items ? { items } : {}, retryAfterMs: null }
    },
  } as Connection
  return { asked, connection }
}

const hpa = { metadata: { name: 'keda-hpa-cart' }, spec: { scaleTargetRef: { kind: 'Deployment', name: 'cart' } } }
const scaledObject = { metadata: { name: 'events' }, spec: { scaleTargetRef: { name: 'cart' } } }

test('a kind that is not served is not asked for again for a while; autoscalers are listed each time', async () => {
  const lists: Record<string, unknown[]> = { horizontalpodautoscalers: [] }
  const { asked, connection } = stage(lists)
  let nowMs = 0
  const autoscalersOf = autoscalersOn(connection, () => nowMs)
  expect(await autoscalersOf(plan)).toEqual([])
  lists['horizontalpodautoscalers'] = [hpa]
  lists['scaledobjects'] = [scaledObject]
  nowMs = 9_999
  expect(await autoscalersOf(plan)).toEqual([{ kind: 'HorizontalPodAutoscaler', name: 'keda-hpa-cart' }])
  expect(asked).toEqual(['horizontalpodautoscalers', 'scaledobjects', 'horizontalpodautoscalers'])
  nowMs = 10_000
  expect(await autoscalersOf(plan)).toContainEqual({ kind: 'ScaledObject', name: 'events' })
})

test('a kind that is served is asked for each time', async () => {
  const { asked, connection } = stage({ horizontalpodautoscalers: [], scaledobjects: [] })
  const autoscalersOf = autoscalersOn(connection)
  await autoscalersOf(plan)
  await autoscalersOf(plan)
  expect(asked.filter((resource) => resource === 'scaledobjects')).toHaveLength(2)
})

const bare = { spec: { template: { spec: { containers: [{ name: 'app' }] } } } } as V1Deployment

test('limit ranges matter only where a quota counts', async () => {
  const { asked, connection } = stage({ resourcequotas: [], limitranges: [] })
  expect(await shortagesFor(connection, plan, bare)).toEqual([])
  expect(asked).toEqual(['resourcequotas'])
})

test('with a quota, what a limit range fills in is counted', async () => {
  const quota = { metadata: { name: 'ration' }, spec: { hard: { 'requests.cpu': '1' } }, status: { used: { 'requests.cpu': '500m' } } }
  const range = (cpu: string) => ({ spec: { limits: [{ type: 'Container', defaultRequest: { cpu } }] } })
  expect(await shortagesFor(stage({ resourcequotas: [quota], limitranges: [range('250m')] }).connection, plan, bare)).toEqual([])
  const { connection } = stage({ resourcequotas: [quota], limitranges: [range('300m')] })
  expect(await shortagesFor(connection, plan, bare)).toEqual([{ quota: 'ration', scoped: false, resource: 'requests.cpu' }])
})
