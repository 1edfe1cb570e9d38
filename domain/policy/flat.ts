import { fieldsOf, isRecord, oneOf, problemList, shown, textOf, type Path, type Report } from './check.ts'
import { apiVersion, type PolicyDocument } from './document.ts'
import { flatConditions, type Placed } from './flat-conditions.ts'
import { actionKeys, canonicalAction } from './names.ts'
import { parsePolicy, type Parsed, type ParseOptions } from './parse.ts'

const flatFields = ['name', 'effect', 'actions', 'resources', 'conditions', 'priority'] as const

/** A document without a version but with `conditions` is in the flat shape (docs/policy.md, "The flat shape"). */
export const isFlat = (value: unknown): boolean =>
  isRecord(value) && !Object.hasOwn(value, 'apiVersion') && Object.hasOwn(value, 'conditions')

/**
 * Reads `{name, effect, actions, resources, conditions, priority?}` as the policy it means. All of
 * `conditions` must hold. What has no exact meaning here is a problem that says what to write instead,
 * at its place in the flat document; nothing is left out. The id is the name's slug (`distinctIds`).
 */
export function importFlat(value: unknown, options: ParseOptions): Parsed {
  const { problems, report } = problemList()
  const fields = fieldsOf(value, [], flatFields, report)
  if (!fields) return { problems }
  const effect = oneOf(fields['effect'], ['effect'], ['allow', 'deny'], report) ?? 'deny'
  const conditions = [...directionOf(fields['actions']), ...flatConditions(fields['conditions'], ['conditions'], report)]
  const { policy, problems: standard = [] } = parsePolicy({
    apiVersion,
    id: slugOf(fields['name'], report) ?? 'unnamed',
    name: fields['name'],
    effect,
    actions: fields['actions'],
    resources: resourcesOf(fields['resources'], report),
    when: { all: conditions.map(({ condition }) => condition) },
    ...(Object.hasOwn(fields, 'priority') ? { priority: fields['priority'] } : {}),
  }, options)
  for (const { path, message } of standard) report(placeOf(path, conditions), message)
  return policy && problems.length === 0 ? { policy } : { problems }
}

/** Where a problem of the standard document stands in the flat one. */
function placeOf(path: Path, conditions: readonly Placed[]): Path {
  const [field = '', , at, part, ...rest] = path
  if (field === 'id') return ['name']
  if (field !== 'when') return path
  const { path: place } = conditions[Number(at)] ?? { path: ['conditions'] }
  return part === 'value' ? [...place, ...rest] : place
}

const longestId = 63

function slugOf(name: unknown, report: Report): string | undefined {
  const text = textOf(name, ['name'], report)
  if (text === undefined) return undefined
  const slug = text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-/, '').slice(0, longestId).replace(/-$/, '')
  return slug === '' ? void report(['name'], `${shown(text)} holds no letter a-z and no digit to make an id of; add one`) : slug
}

/**
 * Different names may have one slug: all but the first get a number. By the order of names, so that
 * the order of documents changes nothing. `isFlat` says which ids were made and may change.
 */
export function distinctIds(documents: readonly { policy: PolicyDocument; flat: boolean }[]): PolicyDocument[] {
  const taken = new Set(documents.filter(({ flat }) => !flat).map(({ policy }) => policy.id))
  const numbers = new Map<string, number>()
  const ids = new Map<PolicyDocument, string>()
  const made = documents.filter(({ flat }) => flat).map(({ policy }) => policy)
  for (const policy of made.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
    let id = policy.id
    for (let number = numbers.get(policy.id) ?? 2; taken.has(id); number++) {
      id = `${policy.id.slice(0, longestId - 6)}-${number}`
      numbers.set(policy.id, number + 1)
    }
    taken.add(id)
    ids.set(policy, id)
  }
  return documents.map(({ policy }) => ({ ...policy, id: ids.get(policy) ?? policy.id }))
}

/**
 * `scale_up` is a scale, and upwards. As actions carry no direction here, it becomes a condition, or
 * allowing one way would allow the other.
 */
function directionOf(actions: unknown): Placed[] {
  const given: unknown[] = Array.isArray(actions) ? actions : []
  const [up, down] = [given.includes('scale_up'), given.includes('scale_down')]
  const others = given.filter((action) => action !== 'scale_up' && action !== 'scale_down').map((action) => canonicalAction(String(action), true) ?? '')
  if ((!up && !down) || others.some((action) => actionKeys('deployment:scale').includes(action))) return []
  const turn = { attr: 'request.deltaReplicas', op: up && down ? 'ne' : up ? 'gt' : 'lt', value: 0 }
  const condition = others.length === 0 ? turn : { any: [{ attr: 'action', op: 'ne', value: 'deployment:scale' }, turn] }
  return [{ condition, path: ['actions'] }]
}

/** `*` is everything. In a bare path it is ambiguous, and a deny that covers less than was meant would not guard. */
function resourcesOf(value: unknown, report: Report): unknown {
  if (!Array.isArray(value)) return value
  return value.map((resource: unknown, at) => {
    if (resource === '*') return '**'
    if (typeof resource !== 'string' || !resource.startsWith('/') || !resource.replaceAll('**', '').includes('*')) return resource
    report(['resources', at], `${shown(resource)} may mean one segment or all below; write \`api:${resource}\` for one, \`**\` in place of \`*\` for all`)
    return '**'
  })
}
