/** L6: resources that no request names, or none that Aegis makes for these actions. */
import type { PolicyDocument } from '../document.ts'
import { compileGlob } from '../glob.ts'
import { parseResource } from '../names.ts'
import { actionMatches } from './action-cells.ts'
import { knownActions } from './facts.ts'
import type { Finding, FindingSeverity } from './finding.ts'
import { waysOf } from './resources.ts'

/** Scheme, cluster, namespace, kind, name. */
const objectLength = 5
const shorter = [4, 3, 2]

export const unknownResources = (documents: readonly PolicyDocument[]): Finding[] =>
  documents.flatMap((document) => document.resources.flatMap((pattern, at) => resourceFault(document, pattern, `resources[${at}]`)))

function resourceFault(document: PolicyDocument, pattern: string, path: string): Finding[] {
  const { segments } = parseResource(pattern, true)!
  if (segments[0] !== 'k8s') return []
  const objects = waysOf(segments, objectLength)
  if (![...objects, ...shorter.flatMap((length) => waysOf(segments, length))].some(canBeNamed)) {
    return [finding(document, 'error', path, `no request names what \`${pattern}\` matches: an object is a cluster, a namespace, a kind in lower case and a name`)]
  }
  const kinds = kindsOf(document)
  if (!document.type.includes('self_healing') || kinds.length === 0) return []
  if (objects.some(([, , , kind = '']) => kinds.some((one) => compileGlob(kind).matches([one])))) return []
  return [finding(document, 'warning', path, `Aegis never asks for ${document.actions.join(', ')} on \`${pattern}\`: it names k8s:<cluster>/<namespace>/<kind>/<name>, the kind being ${kinds.join(' or ')}. If callers of the API ask about it, say \`type: [api_access]\``)]
}

/** A request with a kind in capitals is refused before policies see it. */
const canBeNamed = ([, , , kind = '']: readonly string[]): boolean => kind === kind.toLowerCase()

/** Kinds that the actions are done to; none where Aegis knows none of the actions, of which more is said elsewhere. */
const kindsOf = ({ actions }: PolicyDocument): string[] =>
  [...new Set(knownActions.filter((action) => actions.some((pattern) => actionMatches(pattern, action))).map((action) => action.split(':')[0]!))]

const finding = ({ id }: PolicyDocument, severity: FindingSeverity, path: string, message: string): Finding =>
  ({ code: 'L6', severity, policy: id, others: [], path, message, witness: null })
