import { deploymentSample } from '../../domain/actions/fixtures/deployment.ts'
import { scaleDeployment } from '../../domain/actions/scale_deployment.ts'
import type { Plan } from '../../domain/plan.ts'
import type { Connection } from './connection.ts'
import { permissionsOn } from './permissions.ts'

const plan = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as Plan
const inNamespace = (namespace: string): Plan => ({ ...plan, target: { ...plan.target, namespace } })

type Attributes = { verb: string; namespace: string; name?: string }

/** An API server that answers reviews by `rule`, and a clock. */
function stage(rule: (asked: Attributes) => boolean) {
  const asked: string[] = []
  const clock = { nowMs: 0 }
  const connection = {
    cluster: 'main',
    async request({ body }) {
      const { spec: { resourceAttributes } } = body as { spec: { resourceAttributes: Attributes } }
      const { verb, namespace, name = '*' } = resourceAttributes
      asked.push(`${verb} ${namespace}/${name}`)
      return { status: 201, body: { status: { allowed: rule(resourceAttributes) } }, retryAfterMs: null }
    },
  } as Connection
  const permissionsFor = permissionsOn(connection, () => clock.nowMs)
  const allowed = async (of = plan) => (await permissionsFor(of)).map((one) => one.allowed)
  return { asked, clock, allowed }
}

test('what is allowed on every name is asked once, without a name', async () => {
  const { asked, allowed } = stage(() => true)
  expect(await allowed()).toEqual([true, true])
  expect(await allowed()).toEqual([true, true])
  expect(asked).toEqual(['get shop/*', 'patch shop/*'])
})

test('after a while it is asked again, and a right that was withdrawn is missing', async () => {
  let granted = true
  const { clock, allowed } = stage(() => granted)
  await allowed()
  granted = false
  clock.nowMs = 9_999
  expect(await allowed()).toEqual([true, true])
  clock.nowMs = 10_000
  expect(await allowed()).toEqual([false, false])
})

test('a refusal is never remembered', async () => {
  let granted = false
  const { allowed } = stage(() => granted)
  expect(await allowed()).toEqual([false, false])
  granted = true
  expect(await allowed()).toEqual([true, true])
})

test('a right on this name alone is found, and stands for no other', async () => {
  const { asked, allowed } = stage(({ name }) => name === 'cart')
  expect(await allowed()).toEqual([true, true])
  expect(asked).toEqual(['get shop/*', 'patch shop/*', 'get shop/cart', 'patch shop/cart'])
  expect(await allowed({ ...plan, target: { ...plan.target, name: 'other' } })).toEqual([false, false])
})

test('a namespace speaks for itself alone', async () => {
  const { allowed } = stage(({ namespace }) => namespace === 'shop')
  expect(await allowed()).toEqual([true, true])
  expect(await allowed(inNamespace('bank'))).toEqual([false, false])
})
