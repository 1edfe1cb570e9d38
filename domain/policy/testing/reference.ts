import type { Condition, PolicyDocument, Scalar } from '../document.ts'
import type { PolicyInput } from '../input.ts'
import type { Wall, WallClock } from '../time.ts'

/**
 * The decision rule once more, as plainly as it can be said: no index, nothing compiled, nothing
 * shared with the engine but types. Where the two disagree, one of them is wrong.
 */
export type ReferenceDecision = { effect: string; code: string; determining: string[]; overridden: string[]; mode: string; breaches: string[]; met: boolean }
type Truth = true | false | 'unknown'
export type Outside = { wallClock: WallClock; instant: (text: string) => number } // as the engine is given them

export function referenceDecision(policies: readonly PolicyDocument[], input: PolicyInput, { wallClock, instant }: Outside): ReferenceDecision {
  const ordered = policies.toSorted((a, b) => b.priority - a.priority || (a.id < b.id ? -1 : 1))
  const inScope = ordered.filter((p) => p.enforcement === 'enforce' && p.type.includes(input.type) && coversAction(p, input) && coversResource(p, input))
  const judged = inScope.filter((p) => isValid(p, input.now, instant)).map((p) => ({ p, truth: kleeneAnd([ask(p.when, input, wallClock), negate(ask(p.unless, input, wallClock))]) }))
  const named = (effect: string, ...truths: Truth[]) => judged.filter(({ p, truth }) => p.effect === effect && truths.includes(truth)).map(({ p }) => p.id)
  const all = judged.filter(({ truth }) => truth === true).map(({ p }) => p.id)
  const answer = (effect: string, code: string, determining: string[]): ReferenceDecision => {
    const binding = effect === 'deny' ? [] : judged.filter(({ p, truth }) => p.effect !== 'deny' && truth !== false).map(({ p }) => p)
    const met = isMet(binding, inScope, input, { wallClock, instant })
    const [given, why] = effect === 'require_approval' && met ? ['allow', met] : [effect, code]
    const mode = modes[Math.max(0, ...binding.map((p) => modes.indexOf(p.mode)))]!
    return { effect: given, code: why, determining: determining.toSorted(), overridden: all.filter((id) => !determining.includes(id)).toSorted(), mode, breaches: broken(binding, input), met: met !== undefined }
  }

  const denies = named('deny', true, 'unknown')
  if (denies.length > 0) return answer('deny', named('deny', true).length > 0 ? 'explicit_deny' : 'deny_indeterminate', denies)
  const asks = named('require_approval', true, 'unknown')
  const allows = named('allow', true)
  if (named('require_approval', true).length > 0) return answer('require_approval', 'approval_required', asks)
  if (asks.length > 0 && allows.length > 0) return answer('require_approval', 'approval_indeterminate', [...asks, ...allows])
  return allows.length > 0 ? answer('allow', 'allowed', allows) : answer('deny', 'no_policy_matched', [])
}

const isValid = ({ validity: { notBefore, notAfter } }: PolicyDocument, now: number, instant: Outside['instant']) =>
  (notBefore === null || now >= instant(notBefore)) && (notAfter === null || now < instant(notAfter))

const modes = ['auto', 'approve', 'suggest', 'observe']
const ms = (text: string) => Number(text.slice(0, -1)) * { s: 1_000, m: 60_000, h: 3_600_000 }[text.slice(-1)]!
const bounds = <T>(binding: PolicyDocument[], name: string) => binding.map(({ obligations }) => (obligations as Record<string, T | undefined>)[name]).filter((one) => one !== undefined)

function broken(binding: PolicyDocument[], { action, request, history: { sinceLastActionMs: since } }: PolicyInput): string[] {
  const above = (name: string, given: unknown) => bounds<number>(binding, name).some((most) => !(typeof given === 'number' && given <= most))
  const tooSoon = bounds<string>(binding, 'cooldown').some((text) => since !== null && !((since as number) >= ms(text)))
  return [...(action.endsWith(':scale') && above('maxReplicas', request['replicas']) ? ['maxReplicas'] : []), ...(above('maxPercent', request['percentOfReady']) ? ['maxPercent'] : []), ...(tooSoon ? ['cooldownMs'] : [])]
}

/** Whether the approvals suffice that nothing has ended since they were given: minute by minute. */
function isMet(binding: PolicyDocument[], inScope: PolicyDocument[], { now, principal, approvals }: PolicyInput, { wallClock, instant }: Outside): 'approved' | 'break_glass' | undefined {
  const clock = (p: PolicyDocument, at: number) => JSON.stringify([isValid(p, at, instant), [...windowsIn(p.when), ...windowsIn(p.unless)].map(({ zone, windows }) => windows.some((one) => inWindow(one, wallClock(zone, at)!)))])
  const turned = (from: number) => Array.from({ length: (now - from) / 60_000 }, (_, minute) => from + (minute + 1) * 60_000).some((at) => inScope.some((p) => clock(p, at) !== clock(p, from)))
  const isFresh = ({ at }: { at: number }) => at <= now && bounds<string>(binding, 'approvalTtl').every((ttl) => now < at + ms(ttl)) && !turned(at)
  const able = approvals.filter((one) => isFresh(one) && (one.roles.includes('approver') || one.roles.includes('admin')))
  const people = able.filter(({ owner, principalId }) => owner !== principal.owner && principalId !== principal.id)
  const has = (name: string, key: 'groups' | 'roles') => bounds<string[]>(binding, name).flat().every((one) => people.some((person) => (person[key] as string[]).includes(one)))
  const enough = new Set(people.map(({ owner }) => owner)).size >= Math.max(1, ...bounds<number>(binding, 'minApprovals')) && has('approverGroups', 'groups') && has('approverRoles', 'roles')
  return enough ? 'approved' : able.some(({ breakGlass }) => breakGlass === true) ? 'break_glass' : undefined
}
type Recurring = { zone: string; windows: AnyWindow[] }
const windowsIn = (condition: Condition): Recurring[] =>
  'all' in condition ? condition.all.flatMap(windowsIn) : 'any' in condition ? condition.any.flatMap(windowsIn) : 'not' in condition ? windowsIn(condition.not) : 'time' in condition ? [condition.time as Recurring] : []

export const coversAction = ({ actions }: PolicyDocument, { action }: PolicyInput) =>
  actions.some((pattern) => {
    const [kind, verb] = action.split(':')
    const [kindWanted, verbWanted] = pattern.split(':')
    return (kindWanted === '*' || kindWanted === kind) && (verbWanted === '*' || verbWanted === verb)
  })

const coversResource = ({ resources }: PolicyDocument, { resource }: PolicyInput) =>
  resources.some((pattern) => slowGlob(pattern.replace(':', '/').split('/'), resource.replace(':', '/').split('/')))

/** Backtracking, hence obviously right, and only fit for short texts. */
export function slowGlob([first, ...rest]: string[], given: string[]): boolean {
  if (first === undefined) return given.length === 0
  if (first === '**') return slowGlob(rest, given) || (given.length > 0 && slowGlob([first, ...rest], given.slice(1)))
  return given.length > 0 && slowSegment(first, given[0]!) && slowGlob(rest, given.slice(1))
}

function slowSegment(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern[0] === '*') return slowSegment(pattern.slice(1), text) || (text !== '' && slowSegment(pattern, text.slice(1)))
  return text !== '' && pattern[0] === text[0] && slowSegment(pattern.slice(1), text.slice(1))
}

const negate = (truth: Truth): Truth => (truth === 'unknown' ? truth : !truth)
const kleeneAnd = (truths: Truth[]): Truth => (truths.includes(false) ? false : truths.includes('unknown') ? 'unknown' : true)

function ask(condition: Condition, input: PolicyInput, wallClock: WallClock): Truth {
  if ('all' in condition) return kleeneAnd(condition.all.map((part) => ask(part, input, wallClock)))
  if ('any' in condition) return negate(kleeneAnd(condition.any.map((part) => negate(ask(part, input, wallClock)))))
  if ('not' in condition) return negate(ask(condition.not, input, wallClock))
  if ('time' in condition) {
    if ('from' in condition.time) throw new Error('the reference knows no fixed spans')
    const wall = wallClock(condition.time.zone, input.now)
    return wall === undefined ? 'unknown' : condition.time.windows.some((window) => inWindow(window, wall))
  }
  if ('cel' in condition) throw new Error('the reference knows no CEL')
  const actual = condition.attr.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], input)
  return askLeaf(condition.op, condition.attr === 'context.severity', actual, condition.value)
}

const names = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const minutes = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

type AnyWindow = { days: string[]; from?: string; to?: string; allDay?: true }

export function inWindow({ days, from = '00:00', to = '24:00' }: AnyWindow, { weekday, minuteOfDay }: Wall): boolean {
  const today = days.includes(names[weekday]!)
  const yesterday = days.includes(names[(weekday + 6) % 7]!)
  if (minutes(to) > minutes(from)) return today && minuteOfDay >= minutes(from) && minuteOfDay < minutes(to)
  return (today && minuteOfDay >= minutes(from)) || (yesterday && minuteOfDay < minutes(to))
}

const scale = ['info', 'low', 'medium', 'high', 'critical']

function askLeaf(op: string, isSeverity: boolean, actual: unknown, value: unknown): Truth {
  const missing = actual === undefined || actual === null
  if (op === 'exists') return !missing
  if (op === 'absent') return missing
  if (missing) return 'unknown'
  if (isSeverity && !scale.includes(actual as string)) return 'unknown'
  const values = (Array.isArray(value) ? value : [value]) as Scalar[]
  const number = (given: unknown) => (isSeverity ? scale.indexOf(given as string) : (given as number))
  if (['eq', 'in', 'ne', 'nin'].includes(op)) {
    if (typeof actual !== typeof values[0]) return 'unknown'
    return values.includes(actual as Scalar) === (op === 'eq' || op === 'in')
  }
  if (['gt', 'gte', 'lt', 'lte', 'between'].includes(op)) {
    if (!isSeverity && typeof actual !== 'number') return 'unknown'
    const [given, bound, upper] = [number(actual), number(values[0]), number(values[1])]
    if (op === 'between') return given >= bound && given <= upper
    return op === 'gt' ? given > bound : op === 'gte' ? given >= bound : op === 'lt' ? given < bound : given <= bound
  }
  return askTextOrList(op, actual, values)
}

function askTextOrList(op: string, actual: unknown, values: Scalar[]): Truth {
  const [first] = values
  if (op === 'contains' && Array.isArray(actual)) return actual.includes(first)
  if (['prefix', 'suffix', 'glob', 'contains'].includes(op)) {
    if (typeof actual !== 'string' || typeof first !== 'string') return 'unknown'
    if (op === 'glob') return slowGlob(first.split('/'), actual.split('/'))
    return op === 'prefix' ? actual.startsWith(first) : op === 'suffix' ? actual.endsWith(first) : actual.includes(first)
  }
  if (!Array.isArray(actual)) return 'unknown'
  if (op === 'containsAny') return values.some((item) => actual.includes(item))
  return op === 'containsAll' ? values.every((item) => actual.includes(item)) : actual.every((item) => values.includes(item as Scalar))
}
