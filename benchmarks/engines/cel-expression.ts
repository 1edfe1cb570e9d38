import { nextDays, type Policy, type Request, type Scope, type Window } from './workload.ts'

/** The request as the variables of `celExpression`; `namespace` is a word that CEL keeps for itself. */
export const celFacts = ({ namespace, ...same }: Request) => ({ ...same, ns: namespace, actionKind: same.action.split(':')[0]! })
export type CelFacts = ReturnType<typeof celFacts>

/** Numbers are written as doubles: that is what a JavaScript number is to all three libraries. */
export function celExpression({ actions, scope, severity, roles, window }: Policy): string {
  const parts = [...actionPart(actions), ...scopeParts(scope), `severity >= ${double(severity)}`, `role in ${list(roles)}`, windowPart(window)]
  return parts.join(' && ')
}

function actionPart(actions: readonly string[]): string[] {
  if (actions.includes('*')) return []
  const tests = actions.map((action) => (action.endsWith(':*') ? `actionKind == ${text(action.slice(0, -2))}` : `action == ${text(action)}`))
  return [tests.length === 1 ? tests[0]! : `(${tests.join(' || ')})`]
}

const scopeParts = ({ namespace, ...same }: Scope): string[] =>
  Object.entries({ ...same, ...(namespace === undefined ? {} : { ns: namespace }) }).map(([name, value]) => `${name} == ${text(value)}`)

function windowPart({ days, from, to }: Window): string {
  const [starts, ends] = [`minute >= ${double(from)}`, `minute < ${double(to)}`]
  if (to >= from) return `${starts} && ${ends} && day in ${doubles(days)}`
  return `((${starts} && day in ${doubles(days)}) || (${ends} && day in ${doubles(nextDays(days))}))`
}

const text = (value: string): string => `"${value}"`
const double = (value: number): string => value.toFixed(1)
const list = (values: readonly string[]): string => `[${values.map(text).join(', ')}]`
const doubles = (values: readonly number[]): string => `[${values.map(double).join(', ')}]`
