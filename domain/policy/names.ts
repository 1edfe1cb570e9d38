import { policyAction } from '../remediation.ts'

/** Other spellings of an action, accepted in documents and requests alike. */
export const actionAliases: Readonly<Record<string, string>> = {
  ...policyAction,
  delete_pod: 'pod:delete',
  restart_deployment: 'deployment:restart',
  scale_up: 'deployment:scale',
  scale_down: 'deployment:scale',
}

const actionWord = /^[a-z][a-z0-9-]{0,62}$/
const isActionPart = (part: string, wildcards: boolean): boolean => (wildcards && part === '*') || actionWord.test(part)

/** `kind:verb`, or undefined for what is no action. `*` alone is short for `*:*`. */
export function canonicalAction(text: string, wildcards: boolean): string | undefined {
  if (Object.hasOwn(actionAliases, text)) return actionAliases[text]
  if (wildcards && text === '*') return '*:*'
  const [kind = '', verb = '', ...rest] = text.split(':')
  return rest.length === 0 && isActionPart(kind, wildcards) && isActionPart(verb, wildcards) ? text : undefined
}

/** The four index keys under which a policy for this action may stand. */
export function actionKeys(action: string): [string, string, string, string] {
  const colon = action.indexOf(':')
  return [action, `${action.slice(0, colon)}:*`, `*:${action.slice(colon + 1)}`, '*:*']
}

/** `text` is the one spelling that conditions, explanations and other policies see. */
export type ParsedResource = { text: string; segments: string[] }

const plainSegment = /^[^\s/*]+$/
const globSegment = /^[^\s/]+$/
const schemes = ['k8s', 'api']

/**
 * The segments of a resource, scheme first: `k8s:prod/shop/pod/a` is `['k8s', 'prod', 'shop', 'pod', 'a']`.
 * Bare API paths, `api:` without its slash and `cluster:x` are other spellings. Undefined for what names no resource.
 */
export function parseResource(text: string, wildcards: boolean): ParsedResource | undefined {
  if (wildcards && text === '**') return { text, segments: ['**'] }
  if (text.startsWith('/')) return parseResource(`api:${text}`, wildcards)
  if (text.startsWith('cluster:')) return parseResource(`k8s:${text.slice(8)}${wildcards ? '/**' : ''}`, wildcards)
  const colon = text.indexOf(':')
  const scheme = text.slice(0, colon)
  if (!schemes.includes(scheme)) return undefined
  const path = scheme === 'api' ? text.slice(colon + 1).replace(/^\//, '') : text.slice(colon + 1)
  const segments = [scheme, ...path.split('/')]
  if (!segments.every((segment) => isSegment(segment, wildcards))) return undefined
  return scheme === 'k8s' ? kubernetesResource(text, segments) : { text: `api:/${path}`, segments }
}

/** `.` and `..` are refused: a path that can be walked upwards would not mean what it says. */
const isSegment = (segment: string, wildcards: boolean): boolean =>
  (wildcards ? globSegment : plainSegment).test(segment) && segment !== '.' && segment !== '..' && segment.length <= 253

/** At most cluster, namespace, kind, name; the kind in lower case, so that no spelling slips past a deny. */
function kubernetesResource(text: string, segments: string[]): ParsedResource | undefined {
  const open = segments.indexOf('**')
  const kind = open < 0 || open > 3 ? segments[3] : undefined
  if (kind !== undefined && kind !== kind.toLowerCase()) return undefined
  return segments.length <= 5 || open >= 0 ? { text, segments } : undefined
}

/** `pod:x` and its like name no cluster or namespace; a request's context may supply them. */
export function completeResource(text: string, context: { cluster?: unknown; namespace?: unknown }): string {
  const short = /^(pod|deployment|statefulset|daemonset):([^/:\s*]+)$/.exec(text)
  const { cluster, namespace } = context
  if (!short || typeof cluster !== 'string' || typeof namespace !== 'string') return text
  return `k8s:${cluster}/${namespace}/${short[1]}/${short[2]}`
}

/** A document's spelling: `pod:x` there means that pod in any cluster and namespace. */
export function completeResourceGlob(text: string): string {
  const short = /^(pod|deployment|statefulset|daemonset):([^/:\s]+)$/.exec(text)
  return short ? `k8s:*/*/${short[1]}/${short[2]}` : text
}
