import { canonicalJson } from '../canonical.ts'
import { fieldsOf, filledListOf, integerOf, isRecord, oneOf, problemList, prototypeKeys, shown, textOf, yesOrNo, type Fields, type Path, type Problem, type Report } from '../policy/check.ts'
import { actionNames, faultClasses, severities, targetKind, type ActionName, type FaultClass, type Severity } from '../remediation.ts'
import type { ParameterBounds, ReplicaBounds } from './bounds.ts'
import { rulesApiVersion, type Rule, type RuleFile, type SeveritySource, type TargetLabels } from './rule.ts'

export type ParsedRules = { file: RuleFile; problems?: undefined } | { file?: undefined; problems: Problem[] }

const mostRules = 256

/** Reads a rule file from plain data. Strict, like policies: a misspelt word is refused, not ignored. */
export function parseRules(value: unknown): ParsedRules {
  const { problems, report } = problemList()
  const fields = fieldsOf(value, [], ['apiVersion', 'version', 'rules'], report)
  if (!fields) return { problems }
  oneOf(fields['apiVersion'], ['apiVersion'], [rulesApiVersion], report)
  const version = integerOf(fields['version'], ['version'], { from: 1, to: 1_000_000 }, report)
  const rules = filledListOf(fields['rules'], ['rules'], report, (rule, path) => parseRule(rule, path, report), mostRules)
  if (rules && problems.length === 0) reportRepeats(rules, report)
  return version !== undefined && rules && problems.length === 0 ? { file: { apiVersion: rulesApiVersion, version, rules } } : { problems }
}

/** The first match wins, so a second rule with the same match would never be reached. */
function reportRepeats(rules: readonly Rule[], report: Report): void {
  const ids = new Set<string>()
  const seen = new Map<string, string>()
  rules.forEach(({ id, match }, at) => {
    if (ids.has(id)) report(['rules', at, 'id'], `another rule already has the id \`${id}\``)
    ids.add(id)
    const key = canonicalJson(match)
    const earlier = seen.get(key)
    if (earlier !== undefined) report(['rules', at, 'match'], `never reached: rule \`${earlier}\` matches the same signals first`)
    else seen.set(key, id)
  })
}

/** A key with nothing behind it is a mistake and is reported as one. */
const optional = (fields: Fields, key: string, otherwise: unknown): unknown =>
  Object.hasOwn(fields, key) ? fields[key] : otherwise

const ruleFields = ['id', 'match', 'target', 'action', 'fault', 'parameters', 'severity', 'dwellSeconds'] as const

function parseRule(value: unknown, path: Path, report: Report): Rule | undefined {
  const fields = fieldsOf(value, path, ruleFields, report)
  if (!fields) return undefined
  const id = ruleId(fields['id'], [...path, 'id'], report)
  const match = matchOf(fields['match'], [...path, 'match'], report)
  const action = oneOf(fields['action'], [...path, 'action'], actionNames, report)
  const severity = severityOf(fields['severity'], [...path, 'severity'], report)
  const dwellSeconds = integerOf(optional(fields, 'dwellSeconds', 0), [...path, 'dwellSeconds'], { from: 0, to: 86_400 }, report)
  if (id === undefined || !match || action === undefined || !severity || dwellSeconds === undefined) return undefined
  const target = targetOf(fields, match, action, path, report)
  const fault = shownFault(fields, match, path, report)
  const parameters = parametersOf(fields, action, path, report)
  if (target === undefined || fault === undefined || !parameters) return undefined
  return { id, match, target, action, fault, parameters, severity, dwellSeconds }
}

function ruleId(value: unknown, path: Path, report: Report): string | undefined {
  const id = textOf(value, path, report)
  if (id === undefined || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id)) return id
  return void report(path, `${shown(id)} is no id; use up to 63 lower-case letters, digits and dashes`)
}

function matchOf(value: unknown, path: Path, report: Report): Rule['match'] | undefined {
  if (!isRecord(value)) return void report(path, `expected a mapping, found ${shown(value)}`)
  if (Object.hasOwn(value, 'fault')) {
    fieldsOf(value, path, ['fault', 'afterRollout'], report)
    const fault = oneOf(value['fault'], [...path, 'fault'], faultClasses, report)
    if (fault === undefined || !Object.hasOwn(value, 'afterRollout')) return fault && { fault }
    const afterRollout = yesOrNo(value['afterRollout'], [...path, 'afterRollout'], report)
    return afterRollout === undefined ? undefined : { fault, afterRollout }
  }
  fieldsOf(value, path, ['alert', 'labels'], report)
  const alert = textOf(value['alert'], [...path, 'alert'], report)
  const labels = textMap(optional(value, 'labels', {}), [...path, 'labels'], report)
  return alert !== undefined && labels ? { alert, labels } : undefined
}

/** A mapping from label names to text. */
function textMap(value: unknown, path: Path, report: Report): Record<string, string> | undefined {
  if (!isRecord(value)) return void report(path, `expected a mapping, found ${shown(value)}`)
  const entries = Object.entries(value).map(([key, text]) => {
    if (prototypeKeys.has(key)) report([...path, key], `\`${key}\` cannot be a label`)
    return [key, textOf(text, [...path, key], report) ?? ''] as const
  })
  return Object.fromEntries(entries)
}

/** Null for a fault, which brings its own target; undefined after a problem. */
function targetOf(fields: Fields, match: Rule['match'], action: ActionName, path: Path, report: Report): TargetLabels | null | undefined {
  const at = [...path, 'target']
  if ('fault' in match) {
    return Object.hasOwn(fields, 'target') ? void report(at, 'a fault brings its own target; leave `target` out') : null
  }
  const target = fieldsOf(fields['target'], at, ['kind', 'clusterLabel', 'namespaceLabel', 'nameLabel'], report)
  if (!target) return undefined
  const kind = oneOf(target['kind'], [...at, 'kind'], [targetKind[action]], report)
  const [clusterLabel, namespaceLabel, nameLabel] = (['clusterLabel', 'namespaceLabel', 'nameLabel'] as const).map((key) =>
    textOf(key === 'clusterLabel' ? optional(target, key, 'cluster') : target[key], [...at, key], report))
  if (!kind || clusterLabel === undefined || namespaceLabel === undefined || nameLabel === undefined) return undefined
  return { kind, clusterLabel, namespaceLabel, nameLabel }
}

/** Null where the signal's word is enough; undefined after a problem. */
function shownFault(fields: Fields, match: Rule['match'], path: Path, report: Report): FaultClass | null | undefined {
  if (!Object.hasOwn(fields, 'fault')) return null
  if ('fault' in match) return void report([...path, 'fault'], 'the match names the fault; leave `fault` out')
  return oneOf(fields['fault'], [...path, 'fault'], faultClasses, report)
}

function parametersOf(fields: Fields, action: ActionName, path: Path, report: Report): ParameterBounds | undefined {
  const at = [...path, 'parameters']
  if (action !== 'scale_deployment') {
    return Object.hasOwn(fields, 'parameters') ? void report(at, `\`${action}\` takes no parameters from a rule`) : {}
  }
  const given = fieldsOf(fields['parameters'], at, ['replicas'], report)
  const scale = given && replicaBounds(given['replicas'], [...at, 'replicas'], report)
  return scale && { scale }
}

function replicaBounds(value: unknown, path: Path, report: Report): ReplicaBounds | undefined {
  const fields = fieldsOf(value, path, ['step', 'percent', 'min', 'max'], report)
  if (!fields) return undefined
  const change = changeOf(fields, path, report)
  const min = integerOf(optional(fields, 'min', 1), [...path, 'min'], { from: 1, to: 1000 }, report)
  const max = integerOf(fields['max'], [...path, 'max'], { from: 1, to: 1000 }, report)
  if (!change || min === undefined || max === undefined) return undefined
  return min <= max ? { change, min, max } : void report(path, '`min` must not be above `max`')
}

function changeOf(fields: Fields, path: Path, report: Report): ReplicaBounds['change'] | undefined {
  if (Object.hasOwn(fields, 'step') === Object.hasOwn(fields, 'percent')) return void report(path, 'needs either `step` or `percent`')
  if (Object.hasOwn(fields, 'step')) {
    const step = integerOf(fields['step'], [...path, 'step'], { from: -100, to: 100 }, report)
    return step === 0 ? void report([...path, 'step'], 'a step of 0 changes nothing') : step === undefined ? undefined : { step }
  }
  const percent = integerOf(fields['percent'], [...path, 'percent'], { from: -90, to: 300 }, report)
  return percent === 0 ? void report([...path, 'percent'], '0 percent changes nothing') : percent === undefined ? undefined : { percent }
}

function severityOf(value: unknown, path: Path, report: Report): SeveritySource | undefined {
  if (!isRecord(value)) {
    const constant = oneOf(value, path, severities, report)
    return constant && { label: null, values: {}, otherwise: constant }
  }
  fieldsOf(value, path, ['label', 'values', 'otherwise'], report)
  const label = textOf(value['label'], [...path, 'label'], report)
  const otherwise = oneOf(value['otherwise'], [...path, 'otherwise'], severities, report)
  const values = textMap(optional(value, 'values', {}), [...path, 'values'], report)
  if (label === undefined || otherwise === undefined || !values) return undefined
  const known: [string, Severity | undefined][] = Object.entries(values).map(([key, word]) => [key, oneOf(word, [...path, 'values', key], severities, report)])
  return { label, values: Object.fromEntries(known.filter((entry): entry is [string, Severity] => entry[1] !== undefined)), otherwise }
}
