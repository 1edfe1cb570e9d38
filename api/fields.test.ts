import { executeBody, orderOf } from './executor.ts'
import { fieldErrors } from './fields.ts'
import { remediationBody } from './remediations.ts'

const scale = { action: 'scale_deployment', target: { namespace: 'shop', kind: 'Deployment', name: 'cart' }, parameters: { replicas: 4 } }
const wrong = (body: unknown) => fieldErrors(remediationBody.safeParse(body).error?.issues ?? [], body)

test.each([
  ['an unknown action', { ...scale, action: 'drain_node' }, 'action', '`drain_node` is not allowed: use `restart_pod`, `scale_deployment`, `rollback_deployment`'],
  ['a missing action', { target: scale.target }, 'action', 'missing: use `restart_pod`, `scale_deployment`, `rollback_deployment`'],
  ['a missing target', { ...scale, target: undefined }, 'target', 'missing: it is required'],
  ['a missing name', { ...scale, target: { namespace: 'shop', kind: 'Deployment' } }, 'target.name', 'missing: it is required'],
  ['an unknown field', { ...scale, dryRun: true }, 'dryRun', 'unknown field: remove it'],
  ['an unknown field deep down', { ...scale, target: { ...scale.target, uid: 'x' } }, 'target.uid', 'unknown field: remove it'],
  ['who asks, told in the body', { ...scale, requestedBy: 'root' }, 'requestedBy', 'unknown field: remove it'],
  ['text for a number', { ...scale, parameters: { replicas: '4' } }, 'parameters.replicas', 'must be a number, not a text'],
  ['a fraction', { ...scale, parameters: { replicas: 1.5 } }, 'parameters.replicas', 'must be a whole number, not a number'],
  ['less than none', { ...scale, parameters: { replicas: -1 } }, 'parameters.replicas', 'must be at least 0'],
  ['too many', { ...scale, parameters: { replicas: 1001 } }, 'parameters.replicas', 'must be at most 1000'],
  ['no replicas', { ...scale, parameters: {} }, 'parameters.replicas', 'missing: it is required'],
  ['a parameter of another action', { ...scale, action: 'rollback_deployment' }, 'parameters.replicas', 'unknown field: remove it'],
  ['the wrong kind', { ...scale, target: { ...scale.target, kind: 'Pod' } }, 'target.kind', '`Pod` is not allowed: use `Deployment`'],
  ['a namespace that is none', { ...scale, target: { ...scale.target, namespace: 'Shop/../kube-system' } }, 'target.namespace', expect.stringContaining('must be a Kubernetes name')],
  ['a name with two dots', { ...scale, target: { ...scale.target, name: 'a..b' } }, 'target.name', expect.stringContaining('must be a Kubernetes name')],
  ['a list', [scale], '', 'must be an object, not a list'],
])('%s is named with its field', (_name, body, field, message) => expect(wrong(body)).toEqual([{ field, message }]))

test('several wrong fields are all named, up to a bound', () => {
  expect(wrong({ ...scale, one: 1, two: 2, parameters: { replicas: null } }).map(({ field }) => field).sort()).toEqual(['one', 'parameters.replicas', 'two'])
  expect(wrong({ ...scale, ...Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x${index}`, 1])) })).toHaveLength(20)
})

test('names as long as Kubernetes allows pass, longer ones do not', () => {
  const named = (name: string) => remediationBody.safeParse({ ...scale, target: { ...scale.target, name } }).success
  expect([named('a'.repeat(253)), named('a'.repeat(254)), named('a.b-c.d'), named('-a'), named('a.-b'), named('')]).toEqual([true, false, true, false, false, false])
})

test('the executor body means the same as a remediation', () => {
  const order = (body: object) => orderOf(executeBody.parse(body))
  expect(order({ actionType: 'restart_pod', actionParams: { namespace: 'shop', podName: 'cart-1' } })).toEqual({
    action: 'restart_pod', target: { cluster: undefined, namespace: 'shop', kind: 'Pod', name: 'cart-1' }, parameters: {},
  })
  expect(order({ actionType: 'scale_deployment', actionParams: { namespace: 'shop', deploymentName: 'cart', replicas: 3 } }).parameters).toEqual({ replicas: 3 })
  expect(order({ actionType: 'rollback_deployment', actionParams: { namespace: 'shop', deploymentName: 'cart' } }).parameters).toEqual({})
})

test('the executor body takes exactly the parameters of its action', () => {
  const accepts = (actionType: string, actionParams: object) => executeBody.safeParse({ actionType, actionParams }).success
  expect(accepts('restart_pod', { namespace: 'shop', deploymentName: 'cart' })).toBe(false)
  expect(accepts('scale_deployment', { namespace: 'shop', podName: 'cart-1', replicas: 1 })).toBe(false)
  expect(accepts('scale_deployment', { namespace: 'shop', deploymentName: 'cart' })).toBe(false)
  expect(accepts('rollback_deployment', { namespace: 'shop', deploymentName: 'cart', revision: 0 })).toBe(false)
})
