/** L6: words that no request of Aegis will ever hold. */
import type { AttributeLeaf, PolicyDocument, Scalar } from '../document.ts'
import { canonicalAction } from '../names.ts'
import { compileLeaf } from '../operators.ts'
import { actionMatches } from './action-cells.ts'
import { factNames, isOfType, knownActions, knownFact, type FactType, type KnownFact } from './facts.ts'
import { named, type Finding, type FindingSeverity } from './finding.ts'
import { placedLeaves } from './places.ts'

/** What callers of the API ask about is theirs to name, so a policy for them alone is left to them. */
export function unknownWords(documents: readonly PolicyDocument[]): Finding[] {
  return documents.filter(({ type }) => type.includes('self_healing')).flatMap((document) => [
    ...document.actions.flatMap((pattern, at) => actionFault(pattern).map((message) => finding(document, 'warning', `actions[${at}]`, message))),
    ...placedLeaves(document).flatMap(({ leaf, path }) => ('attr' in leaf ? leafFault(leaf, document).map((message) => finding(document, 'error', path, message)) : [])),
  ])
}

const finding = ({ id }: PolicyDocument, severity: FindingSeverity, path: string, message: string): Finding =>
  ({ code: 'L6', severity, policy: id, others: [], path, message, witness: null })

function actionFault(pattern: string): string[] {
  if (knownActions.some((action) => actionMatches(pattern, action))) return []
  return [`Aegis has no action \`${pattern}\`; it has ${knownActions.join(', ')}. If callers of the API ask about it, say \`type: [api_access]\``]
}

const effectOfMissing = { allow: 'this never allows', deny: 'this denies whatever it is asked about', require_approval: 'this asks whatever would be allowed' } as const

function leafFault(leaf: AttributeLeaf, { effect }: PolicyDocument): string[] {
  const { attr, op } = leaf
  const fact = knownFact(attr)
  if (!fact) return [`Aegis gives no fact \`${attr}\`${hint(attr)}; it is always missing${op === 'exists' || op === 'absent' ? '' : `, and ${effectOfMissing[effect]} where it counts`}`]
  if (attr === 'action') return valuesOf(leaf).flatMap(spellingFault)
  if (attr === 'resource') return valuesOf(leaf).flatMap((value) => resourceFault(op, value))
  if (op === 'exists' || op === 'absent' || fact.type === 'any') return []
  if (neverAnswers(leaf, fact)) return [`\`${attr}\` is ${typeWords[fact.type]}, which \`${op}\` with ${JSON.stringify(leaf.value)} cannot be asked of: the answer is always unknown`]
  const odd = strangers(leaf, fact)
  if (odd.length > 0) return [`\`${attr}\` is never ${named(odd)}${fact.words ? `; it is one of ${fact.words.join(', ')}` : ': kinds are written in lower case'}`]
  return []
}

const typeWords: Record<FactType, string> = { text: 'text', number: 'a number', list: 'a list', any: 'a mapping' }
const valuesOf = ({ value }: AttributeLeaf): Scalar[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])

function spellingFault(value: Scalar): string[] {
  const canonical = typeof value === 'string' ? canonicalAction(value, false) : undefined
  if (canonical !== undefined && canonical !== value) return [`policies see the action \`${String(value)}\` as \`${canonical}\`: write that`]
  return []
}

/** Conditions see `k8s:…` and `api:/…`, whatever a request wrote. */
function resourceFault(op: AttributeLeaf['op'], value: Scalar): string[] {
  const begins = ['k8s:', 'api:/']
  const whole = op === 'eq' || op === 'ne' || op === 'in' || op === 'nin' || op === 'prefix'
  if (!whole || typeof value !== 'string' || begins.some((scheme) => value.startsWith(scheme) || (op === 'prefix' && scheme.startsWith(value)))) return []
  return [`policies see no resource that begins with \`${value}\`: they begin with ${begins.map((scheme) => `\`${scheme}\``).join(' or ')}`]
}

/** Asked of a value of the fact's own type, the leaf has no answer. Networks are asked of addresses only. */
function neverAnswers(leaf: AttributeLeaf, fact: KnownFact): boolean {
  if (leaf.op === 'cidr') return fact.type !== 'text'
  const words = fact.words ?? ['x']
  const sample = fact.type === 'number' ? 1 : fact.type === 'list' ? words.slice(0, 1) : words[0]
  return isOfType(sample, fact) && compileLeaf(leaf)(sample) === 'unknown'
}

/** Values compared whole that are none of the fact's words. Parts of words are told by matching none. */
function strangers({ attr, op, value }: AttributeLeaf, { words, type }: KnownFact): string[] {
  const given = valuesOf({ attr, op, ...(value === undefined ? {} : { value }) }).filter((one) => typeof one === 'string')
  if (attr === 'context.workload.kind' && op !== 'glob') return given.filter((word) => word !== word.toLowerCase())
  if (!words) return []
  const inPart = op === 'prefix' || op === 'suffix' || op === 'glob' || (op === 'contains' && type === 'text')
  if (inPart) return words.some((word) => compileLeaf({ attr, op, value: given[0]! })(word) === true) ? [] : given
  return op === 'cidr' ? [] : given.filter((word) => !words.includes(word))
}

const mostSlips = 3

/** The name that differs in the fewest letters, if it is a likely slip. */
function hint(attr: string): string {
  const near = factNames.filter((name) => Math.abs(name.length - attr.length) <= mostSlips)
  const [best] = near.map((name) => ({ name, slips: slips(attr, name) })).sort((a, b) => a.slips - b.slips)
  return best && best.slips <= mostSlips ? ` (\`${best.name}\`?)` : ''
}

/** Letters to change, add or take out to get from one to the other. */
function slips(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
