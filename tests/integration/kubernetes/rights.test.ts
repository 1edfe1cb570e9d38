import { beforeAll, expect, test } from '@jest/globals'
import { actionNeeds, clusterNeeds, lookingNeeds, type Need } from '../../../adapters/kubernetes/needs.ts'
import { userOf } from '../../../adapters/kubernetes/backstop/names.ts'
import { admin, call, namespace } from './operator.ts'

/** Every verb on every resource that the API server serves, in a managed namespace, in another one, and in the cluster. */

type Asked = { verb: string; group: string; resource: string; subresource?: string; namespace?: string }
type Served = { name: string; namespaced: boolean; verbs: string[] }

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
/** What no list of resources shows. */
const hidden = [['impersonate', '', 'serviceaccounts'], ['impersonate', '', 'users'], ['bind', 'rbac.authorization.k8s.io', 'roles'], ['escalate', 'rbac.authorization.k8s.io', 'roles']] as const
let everything: Asked[]

beforeAll(async () => {
  const groups = await call('GET', '/apis')
  const versions = [['', '/api/v1'], ...groups['groups'].map((group: { name: string; preferredVersion: { groupVersion: string } }) => [group.name, `/apis/${group.preferredVersion.groupVersion}`])]
  const served = await Promise.all(versions.map(async ([group, path]) => ((await call('GET', path))['resources'] as Served[]).map((each) => ({ ...each, group: group as string }))))
  everything = [...served.flat(), { group: 'keda.sh', name: 'scaledobjects', namespaced: true }].flatMap(({ group, name, namespaced }) => {
    const [resource = '', subresource] = name.split('/')
    const places = namespaced || name === 'namespaces' ? [namespace, undefined] : [undefined]
    return verbs.flatMap((verb) => places.map((place) => ({ verb, group, resource, ...(subresource && { subresource }), ...(place && { namespace: place }) })))
  })
  everything.push(...hidden.map(([verb, group, resource]) => ({ verb, group, resource })), ...inNamespace('kube-system'))
})

const inNamespace = (place: string): Asked[] => [...Object.values(actionNeeds).flat(), ...lookingNeeds].map((need) => ({ ...need, namespace: place }))

const named = ({ verb, group, resource, subresource, namespace: place }: Asked): string => `${verb} ${group}/${resource}${subresource ? `/${subresource}` : ''} in ${place ?? 'the cluster'}`
const declared = (needs: readonly Need[], place?: string): string[] => needs.map((need) => named({ ...need, ...(place && { namespace: place }) }))

/** What the API server lets every account do that has logged in. */
const everybodys = ['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews']

async function allowedTo(account: string, asks = everything): Promise<{ allowed: string[]; refused: number }> {
  const allowed: string[] = []
  let refused = 0
  const queue = asks.filter(({ resource }) => !everybodys.includes(resource))
  const ask = async () => {
    for (let asked = queue.pop(); asked; asked = queue.pop()) {
      const spec = { user: userOf(account), groups: ['system:serviceaccounts', 'system:serviceaccounts:aegis-system', 'system:authenticated'], resourceAttributes: asked }
      const { status } = await call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { spec })
      if (status.allowed) allowed.push(named(asked))
      else refused += 1
    }
  }
  await Promise.all(Array.from({ length: 16 }, ask))
  return { allowed: allowed.sort(), refused }
}

test('the execution worker may do what the catalogue says, in managed namespaces, and nothing else', async () => {
  const { allowed, refused } = await allowedTo('aegis-executor')
  const wanted = [...new Set([...declared([...Object.values(actionNeeds).flat(), ...lookingNeeds], namespace), ...declared(clusterNeeds)])]
  expect(allowed).toEqual(wanted.sort())
  expect(refused).toBeGreaterThan(200)
  console.log(`${allowed.length} allowed, ${refused} refused`)
})

test('the guard may read and write one object by its name, and nothing else', async () => {
  const core = ['', 'apps', 'policy', 'rbac.authorization.k8s.io', 'admissionregistration.k8s.io']
  expect((await allowedTo('aegis-guard', everything.filter(({ group }) => core.includes(group)))).allowed).toEqual([])
  const by = async (verb: string, name: string) => {
    const resourceAttributes = { verb, group: '', resource: 'configmaps', namespace: 'aegis-system', name }
    return (await call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { spec: { user: userOf('aegis-guard'), resourceAttributes } }))['status'].allowed === true
  }
  expect(await Promise.all(['get', 'update', 'patch', 'delete', 'create', 'list'].map((verb) => by(verb, 'aegis-freeze')))).toEqual([true, true, false, false, false, false])
  expect(await by('get', 'another')).toBe(false)
})

test('without its role binding the execution worker is refused in the namespace at once: the switch outside of Aegis', async () => {
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/aegis-executor`
  const binding = await call('GET', path)
  await admin.request({ method: 'DELETE' as never, path })
  expect((await allowedTo('aegis-executor', inNamespace(namespace))).allowed).toEqual([])
  await call('POST', path.replace('/aegis-executor', ''), { ...binding, metadata: { name: 'aegis-executor' } })
})
