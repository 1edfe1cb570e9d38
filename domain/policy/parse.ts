import { canonicalJson } from '../canonical.ts'
import { modes, roles, type Mode } from '../remediation.ts'
import { bounds } from './bounds.ts'
import { parseDuration, parseInstant } from './calendar.ts'
import {
  fieldsOf, filledListOf, integerOf, isRecord, oneOf, problemList, prototypeKeys, shown, textOf, yesOrNo,
  type Fields, type Path, type Problem, type Report,
} from './check.ts'
import { apiVersion, effects, enforcements, type Condition, type DocumentObligations, type Effect, type PolicyDocument } from './document.ts'
import type { ExpressionCompiler } from './expression.ts'
import { misplacedDoubleStar } from './glob.ts'
import { requestTypes, type RequestType } from './input.ts'
import { canonicalAction, completeResourceGlob, parseResource } from './names.ts'
import { countGlob, parseCondition, type Budget } from './parse-condition.ts'

export type ParseOptions = {
  /** Whether the time zone data knows the name. */
  zoneExists: (zone: string) => boolean
  /** Without it, a document that holds CEL is refused. */
  compileCel?: ExpressionCompiler
}

export type Parsed = { policy: PolicyDocument; problems?: undefined } | { policy?: undefined; problems: Problem[] }

const documentFields = [
  'apiVersion', 'id', 'name', 'effect', 'enforcement', 'mode', 'type', 'priority', 'actions', 'resources',
  'when', 'unless', 'obligations', 'validity', 'message', 'owner', 'labels',
] as const

/**
 * Reads one policy from plain data (JSON or YAML already parsed). Strict: what is not known here is
 * refused, because a guard with a misspelt word would not guard. Returns every problem, not the first.
 */
export function parsePolicy(value: unknown, { zoneExists, compileCel }: ParseOptions): Parsed {
  const { problems, report } = problemList()
  const tooLarge = sizeProblem(value)
  if (tooLarge) return { problems: [{ path: [], message: tooLarge }] }
  const fields = fieldsOf(value, [], documentFields, report)
  const policy = fields && readDocument(fields, { nodes: 0, globs: 0, expressions: 0, zoneExists, compileCel, report })
  return policy && problems.length === 0 ? { policy } : { problems }
}

/** Why a document is not even looked into. */
export function sizeProblem(value: unknown): string | undefined {
  const size = sizeOf(value)
  if (size === undefined) return 'is not plain data (it nests too deep, or holds what JSON cannot)'
  return size > bounds.documentBytes ? `larger than ${bounds.documentBytes} bytes; split it` : undefined
}

/** Bytes of the canonical JSON form, or undefined for what has none. */
function sizeOf(value: unknown): number | undefined {
  try {
    return utf8Length(canonicalJson(value))
  } catch {
    return undefined
  }
}

function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // A surrogate pair is two units and four bytes.
    bytes += unit < 0x80 ? 0 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2
  }
  return bytes
}

/** A key with nothing behind it is a mistake, not an absence: `when:` left empty must not mean always. */
export const isAbsent = (fields: Fields, key: string): boolean => !Object.hasOwn(fields, key) || fields[key] === undefined

/** Where null is the written form of nothing. */
const isNothing = (fields: Fields, key: string): boolean => isAbsent(fields, key) || fields[key] === null

function readDocument(fields: Fields, budget: Budget): PolicyDocument | undefined {
  const { report } = budget
  oneOf(fields['apiVersion'], ['apiVersion'], [apiVersion], report)
  const id = idOf(fields['id'], report)
  const effect = oneOf(fields['effect'], ['effect'], effects, report)
  const actions = filledListOf(fields['actions'], ['actions'], report, (value, path) => actionOf(value, path, budget))
  const resources = filledListOf(fields['resources'], ['resources'], report, (value, path) => resourceGlobOf(value, path, budget))
  const optional = readOptional(fields, effect, budget)
  if (id === undefined || effect === undefined || !actions || !resources) return undefined
  return { apiVersion, id, effect, actions, resources, ...optional, name: optional.name ?? id }
}

function readOptional(fields: Fields, effect: Effect | undefined, budget: Budget) {
  const { report } = budget
  const text = (key: 'name' | 'message' | 'owner') => (isNothing(fields, key) ? null : (textOf(fields[key], [key], report) ?? null))
  return {
    name: text('name'),
    enforcement: isAbsent(fields, 'enforcement') ? 'enforce' as const : (oneOf(fields['enforcement'], ['enforcement'], enforcements, report) ?? 'disabled' as const),
    mode: modeOf(fields, effect, report),
    type: typesOf(fields, report),
    priority: isAbsent(fields, 'priority') ? 100 : (integerOf(fields['priority'], ['priority'], { from: -1_000_000, to: 1_000_000 }, report) ?? 100),
    when: conditionOf(fields, 'when', { all: [] }, budget),
    unless: conditionOf(fields, 'unless', { any: [] }, budget),
    obligations: documentObligations(isAbsent(fields, 'obligations') ? {} : fields['obligations'], effect, report),
    validity: validityOf(isAbsent(fields, 'validity') ? {} : fields['validity'], report),
    message: text('message'),
    owner: text('owner'),
    labels: labelsOf(isAbsent(fields, 'labels') ? {} : fields['labels'], report),
  }
}

export function idOf(value: unknown, report: Report): string | undefined {
  const id = textOf(value, ['id'], report)
  if (id === undefined || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id)) return id
  return void report(['id'], `${shown(id)} is no id; use up to 63 lower-case letters, digits and dashes`)
}

function modeOf(fields: Fields, effect: Effect | undefined, report: Report): Mode {
  if (isAbsent(fields, 'mode')) return 'auto'
  const given = fields['mode']
  if (enforcements.some((word) => word === given)) {
    report(['mode'], `\`mode\` is the autonomy (${modes.join(', ')}); write \`enforcement: ${String(given)}\` instead`)
    return 'observe'
  }
  if (effect === 'deny' && given !== 'auto') report(['mode'], 'a deny grants no autonomy; leave `mode` out')
  return oneOf(given, ['mode'], modes, report) ?? 'observe'
}

function typesOf(fields: Fields, report: Report): RequestType[] {
  if (isAbsent(fields, 'type')) return [...requestTypes]
  const given = filledListOf(fields['type'], ['type'], report, (value, path) => oneOf(value, path, requestTypes, report))
  return requestTypes.filter((type) => given?.includes(type))
}

export function actionOf(value: unknown, path: Path, budget: Budget): string | undefined {
  const text = textOf(value, path, budget.report)
  if (text === undefined) return undefined
  countGlob(path, budget)
  return canonicalAction(text, true) ?? void budget.report(path, `${shown(text)} is no action; write \`kind:verb\`, with \`*\` for either part`)
}

export function resourceGlobOf(value: unknown, path: Path, budget: Budget): string | undefined {
  const text = textOf(value, path, budget.report)
  if (text === undefined) return undefined
  countGlob(path, budget)
  const parsed = parseResource(completeResourceGlob(text), true)
  if (!parsed) return void budget.report(path, `${shown(text)} is no resource; write \`k8s:<cluster>/<namespace>/<kind>/<name>\` or \`api:/path\`, kind in lower case`)
  if (misplacedDoubleStar(parsed.segments)) return void budget.report(path, '`**` may only be a whole segment')
  return parsed.text
}

export function conditionOf(fields: Fields, key: 'when' | 'unless', otherwise: Condition, budget: Budget): Condition {
  return isAbsent(fields, key) ? otherwise : (parseCondition(fields[key], [key], 1, budget) ?? otherwise)
}

const obligationFields = [
  'minApprovals', 'approverGroups', 'approverRoles', 'approvalTtl', 'maxReplicas', 'maxPercent', 'ttl', 'cooldown',
  'dryRunFirst', 'verifyAfter', 'rollbackOnFailure', 'undoOn', 'notify',
] as const
type ObligationField = (typeof obligationFields)[number]

const names = (value: unknown, path: Path, report: Report) =>
  sortedUnique(filledListOf(value, path, report, (item, at) => textOf(item, at, report), 32))

const sortedUnique = <T extends string>(values: T[] | undefined): T[] | undefined => values && [...new Set(values)].sort()

const duration = (value: unknown, path: Path, report: Report): string | undefined => {
  const text = textOf(value, path, report)
  if (text === undefined || parseDuration(text) !== undefined) return text
  return void report(path, `${shown(text)} is no duration; write \`90s\`, \`15m\`, \`12h\` or \`7d\`, at most 30 days`)
}

const percent = (value: unknown, path: Path, report: Report): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= 100
    ? value
    : void report(path, `expected a percentage from 0 to 100, found ${shown(value)}`)

const obligationChecks: Record<ObligationField, (value: unknown, path: Path, report: Report) => unknown> = {
  minApprovals: (value, path, report) => integerOf(value, path, { from: 1, to: 10 }, report),
  approverGroups: names,
  approverRoles: (value, path, report) => sortedUnique(filledListOf(value, path, report, (item, at) => oneOf(item, at, roles, report))),
  approvalTtl: duration,
  maxReplicas: (value, path, report) => integerOf(value, path, { from: 0, to: 1000 }, report),
  maxPercent: percent,
  ttl: duration,
  cooldown: duration,
  dryRunFirst: yesOrNo,
  verifyAfter: yesOrNo,
  rollbackOnFailure: yesOrNo,
  undoOn: (value, path, report) => sortedUnique(filledListOf(value, path, report, (item, at) => oneOf(item, at, ['same'], report))),
  notify: names,
}

/** What an allow may not ask for: it would look like a question to a person, and be none. */
const approvalFields: readonly string[] = ['minApprovals', 'approverGroups', 'approverRoles', 'approvalTtl']

function documentObligations(value: unknown, effect: Effect | undefined, report: Report): DocumentObligations {
  const path = ['obligations']
  const fields = fieldsOf(value, path, obligationFields, report) ?? {}
  const given = obligationFields.filter((key) => !isAbsent(fields, key))
  if (effect === 'deny' && given.length > 0) report(path, 'a deny obliges nobody; leave obligations out')
  const found: Record<string, unknown> = {}
  for (const key of given) {
    if (effect === 'allow' && approvalFields.includes(key)) report([...path, key], 'only `effect: require_approval` asks people')
    const read = obligationChecks[key](fields[key], [...path, key], report)
    if (read !== undefined) found[key] = read
  }
  return found
}

function validityOf(value: unknown, report: Report): PolicyDocument['validity'] {
  const fields = fieldsOf(value, ['validity'], ['notBefore', 'notAfter'], report) ?? {}
  const instant = (key: 'notBefore' | 'notAfter'): string | null => {
    if (isNothing(fields, key)) return null
    const text = textOf(fields[key], ['validity', key], report)
    if (text !== undefined && parseInstant(text) === undefined) report(['validity', key], `${shown(text)} is no instant such as \`2026-12-24T18:00:00Z\``)
    return text ?? null
  }
  const [notBefore, notAfter] = [instant('notBefore'), instant('notAfter')]
  const [from, to] = [notBefore, notAfter].map((text) => (text === null ? undefined : parseInstant(text)))
  if (from !== undefined && to !== undefined && from >= to) report(['validity'], '`notBefore` must be before `notAfter`')
  return { notBefore, notAfter }
}

function labelsOf(value: unknown, report: Report): Record<string, string> {
  if (!isRecord(value)) report(['labels'], `expected a mapping, found ${shown(value)}`)
  const entries = isRecord(value) ? Object.entries(value) : []
  if (entries.length > bounds.labels) report(['labels'], `more than ${bounds.labels} labels`)
  for (const [key, label] of entries) {
    if (prototypeKeys.has(key)) report(['labels', key], `\`${key}\` cannot be a label`)
    textOf(label, ['labels', key], report)
  }
  return Object.fromEntries(entries) as Record<string, string>
}
