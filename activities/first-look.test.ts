import { expect, test } from '@jest/globals'
import type { Observation } from '../domain/actions/observation.ts'
import type { DecisionDeps } from './deps.ts'
import { firstLooks } from './first-look.ts'
import { plan } from './plan.ts'

const seen = (name: string) => ({ target: { name } }) as unknown as Observation

test('what was seen is given once, to its own remediation', () => {
  const looks = firstLooks(() => 0)
  looks.keep('one', seen('web'))
  expect(looks.take('two')).toBeUndefined()
  expect(looks.take('one')).toEqual(seen('web'))
  expect(looks.take('one')).toBeUndefined()
})

test('what was seen more than a second ago is looked at again', () => {
  let nowMs = 0
  const looks = firstLooks(() => nowMs)
  looks.keep('one', seen('web'))
  nowMs = 1_001
  expect(looks.take('one')).toBeUndefined()
})

test('looks that nobody takes do not pile up', () => {
  const looks = firstLooks(() => 0)
  for (let count = 0; count <= 100; count++) looks.keep(`${count}`, seen(`${count}`))
  expect(looks.take('0')).toBeUndefined()
  expect(looks.take('100')).toEqual(seen('100'))
})

/** A plan for a fault that the kept look no longer shows; `asked` counts the looks at the cluster, where the target is gone. */
async function planAfterLook(expected: string | null) {
  let asked = 0
  const looks = firstLooks(() => 0)
  looks.keep('one', { target: {}, health: { faults: [] } } as unknown as Observation)
  const request = { action: 'restart_pod', target: { cluster: 'main', namespace: 'shop', kind: 'Pod', name: 'web' }, parameters: {}, fault: 'stuck_pod', phase: 'planning', resolvedAt: null }
  const deps = {
    store: { loadRequest: async () => request },
    clusters: () => ({ observe: async () => void asked++ }),
  } as unknown as DecisionDeps
  const planned = await plan(deps, looks)({ id: 'one', cluster: 'main', expected })
  return { asked, reason: planned.planned ? undefined : planned.ending.reason }
}

test('the first plan asks the cluster nothing that detect has just seen', async () => {
  expect(await planAfterLook(null)).toEqual({ asked: 0, reason: 'fault_gone' })
})

test('what people approved is compared with what is there now, never with an earlier look', async () => {
  expect(await planAfterLook('sha256:approved')).toEqual({ asked: 1, reason: 'target_changed' })
})
