import { compileGlob } from '../policy/glob.ts'
import { severities, targetKind, type ActionName, type FaultClass, type Severity, type Target } from '../remediation.ts'
import type { ParameterBounds } from './bounds.ts'
import type { AlertMatch, AlertSignal, FaultMatch, FaultSignal, Rule, RuleSet, RuleSignal, SeveritySource, TargetLabels } from './rule.ts'

/** The one action a signal may lead to. Replicas stay relative until the plan has read the target. */
export type Matched = {
  rule: { id: string; version: number; hash: string }
  action: ActionName
  target: Target
  parameters: ParameterBounds
  severity: Severity
  fault: FaultClass | null
}

export type Unmatched = {
  unmatched: 'no_rule' | 'too_early' | 'no_target'
  message: string
  /** The rule that would apply, where there is one. */
  ruleId: string | null
  /** For `too_early`: how much longer the signal must hold. */
  waitMs: number | null
}

/** First match wins. A signal that matches but cannot be used ends there: a later rule never picks it up. */
export function applyRule(rules: RuleSet, signal: RuleSignal): Matched | Unmatched {
  const rule = rules.rules.find(({ match }) => matches(match, signal))
  if (!rule) return unmatched('no_rule', `no rule for ${signalText(signal)}; it is recorded and nothing is asked for`, null)
  const waitMs = rule.dwellSeconds * 1000 - signal.heldMs
  if (!(waitMs <= 0)) {
    return { ...unmatched('too_early', `${signalText(signal)} must hold for ${rule.dwellSeconds} s before rule \`${rule.id}\` applies`, rule.id), waitMs }
  }
  const target = signal.kind === 'alert' ? targetFromLabels(rule.target!, signal) : targetOf(rule.action, signal)
  if (typeof target === 'string') return unmatched('no_target', `rule \`${rule.id}\` found no target: ${target}`, rule.id)
  return {
    rule: { id: rule.id, version: rules.version, hash: rules.hash },
    action: rule.action,
    target,
    parameters: rule.parameters,
    severity: severityOf(rule.severity, signal),
    fault: signal.kind === 'fault' ? signal.fault : rule.fault,
  }
}

const unmatched = (why: Unmatched['unmatched'], message: string, ruleId: string | null): Unmatched => ({ unmatched: why, message, ruleId, waitMs: null })

const signalText = (signal: RuleSignal): string => (signal.kind === 'alert' ? `alert \`${signal.alert}\`` : `fault \`${signal.fault}\``)

const globMatches = (pattern: string, text: string): boolean => compileGlob(pattern, [pattern]).matches([text])

function matches(match: Rule['match'], signal: RuleSignal): boolean {
  if ('fault' in match) return signal.kind === 'fault' && faultMatches(match, signal)
  return signal.kind === 'alert' && alertMatches(match, signal)
}

const faultMatches = ({ fault, afterRollout }: FaultMatch, signal: FaultSignal): boolean =>
  fault === signal.fault && (afterRollout === undefined || afterRollout === signal.afterRollout)

const alertMatches = ({ alert, labels }: AlertMatch, signal: AlertSignal): boolean =>
  globMatches(alert, signal.alert) &&
  Object.entries(labels).every(([label, pattern]) => {
    const value = labelOf(signal, label)
    return value !== undefined && globMatches(pattern, value)
  })

const labelOf = ({ labels }: AlertSignal, name: string): string | undefined =>
  Object.hasOwn(labels, name) ? labels[name] : undefined

const namespacePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const objectPattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/
const clusterPattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/** The target, or what is wrong with the labels. Their values come from outside and go into addresses. */
function targetFromLabels({ kind, clusterLabel, namespaceLabel, nameLabel }: TargetLabels, signal: AlertSignal): Target | string {
  const cluster = labelOf(signal, clusterLabel) ?? signal.defaultCluster
  const namespace = labelOf(signal, namespaceLabel)
  const name = labelOf(signal, nameLabel)
  if (namespace === undefined) return `the alert has no label \`${namespaceLabel}\``
  if (name === undefined) return `the alert has no label \`${nameLabel}\``
  if (!clusterPattern.test(cluster)) return `label \`${clusterLabel}\` is no cluster name`
  if (!namespacePattern.test(namespace)) return `label \`${namespaceLabel}\` is no namespace name`
  if (!objectPattern.test(name)) return `label \`${nameLabel}\` is no object name`
  return { cluster, namespace, kind, name }
}

const targetOf = (action: ActionName, { targets }: FaultSignal): Target | string =>
  targets.find(({ kind }) => kind === targetKind[action]) ?? `the fault names no ${targetKind[action]}`

function severityOf({ label, values, otherwise }: SeveritySource, signal: RuleSignal): Severity {
  const given = label !== null && signal.kind === 'alert' ? labelOf(signal, label) : undefined
  if (given === undefined) return otherwise
  if (Object.hasOwn(values, given)) return values[given]!
  return severities.find((severity) => severity === given) ?? otherwise
}
