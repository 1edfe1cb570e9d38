import type { AttributeLeaf, Condition, Effect, PolicyDocument, Window } from '../document.ts'
import type { PolicyInput } from '../input.ts'
import type { Wall, WallClock } from '../time.ts'

/**
 * Policies as Cedar, for the part both can speak: no attribute is missing or of another type, numbers
 * are whole, and texts have no globs. Words of the severity scale become their place on it, the wall
 * clock of each zone is looked up before and handed over, and `**` is spelled out per length of resource.
 */
export type CedarPolicies = Record<string, string>
export type CedarContext = Record<string, unknown>

/** Two sets, because Cedar knows two effects: may this be done at all, and may it be done unasked? */
export type CedarQuestions = { atAll: CedarPolicies; unasked: CedarPolicies }

export const cedarQuestions = (documents: readonly PolicyDocument[]): CedarQuestions => ({
  atAll: rendered(documents, { allow: 'permit', require_approval: 'permit', deny: 'forbid' }),
  unasked: rendered(documents, { allow: 'permit', require_approval: 'forbid', deny: 'forbid' }),
})

const rendered = (documents: readonly PolicyDocument[], words: Record<Effect, 'permit' | 'forbid'>): CedarPolicies =>
  Object.fromEntries(documents.map((document) => [document.id, `${words[document.effect]} (principal, action, resource) when { ${scopeText(document)} && ${conditionText(document.when)} } unless { ${conditionText(document.unless)} };`]))

const anyOf = (parts: readonly string[]): string => (parts.length === 0 ? 'false' : `(${parts.join(' || ')})`)
const allOf = (parts: readonly string[]): string => (parts.length === 0 ? 'true' : `(${parts.join(' && ')})`)

function scopeText({ actions, resources, type, validity: { notBefore, notAfter } }: PolicyDocument): string {
  return allOf([
    anyOf(actions.map((action) => `context.action like "${action}"`)),
    anyOf(resources.flatMap((resource) => spelledOut(resource.replace(':', '/').split('/')).map(segmentsText))),
    `${JSON.stringify(type)}.contains(context.type)`,
    ...(notBefore === null ? [] : [`context.now >= ${Date.parse(notBefore)}`]),
    ...(notAfter === null ? [] : [`context.now < ${Date.parse(notAfter)}`]),
  ])
}

const mostSegments = 5

/** The pattern with each `**` as none, one, two … segments of `*`. */
function spelledOut(pattern: readonly string[]): string[][] {
  const at = pattern.indexOf('**')
  if (at < 0) return pattern.length <= mostSegments ? [[...pattern]] : []
  const lengths = Array.from({ length: mostSegments + 1 }, (_, length) => length)
  return lengths.flatMap((length) => spelledOut([...pattern.slice(0, at), ...Array<string>(length).fill('*'), ...pattern.slice(at + 1)]))
}

const segmentsText = (segments: readonly string[]): string =>
  allOf([`context.resource.length == ${segments.length}`, ...segments.map((segment, at) => `context.resource.s${at} like "${segment}"`)])

function conditionText(condition: Condition): string {
  if ('all' in condition) return allOf(condition.all.map(conditionText))
  if ('any' in condition) return anyOf(condition.any.map(conditionText))
  if ('not' in condition) return `!(${conditionText(condition.not)})`
  if ('attr' in condition) return leafText(condition)
  if (!('time' in condition) || 'from' in condition.time) throw new Error('Cedar is asked of recurring windows only')
  const wall = `context.wall[${JSON.stringify(condition.time.zone)}]`
  return anyOf(condition.time.windows.map((window) => windowText(window, wall)))
}

const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const minuteOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

function windowText(window: Window, wall: string): string {
  const chosen = weekdays.flatMap((day, at) => (window.days.some((one) => one === day) ? [at] : []))
  const on = (places: number[]): string => `[${places.join(', ')}].contains(${wall}.weekday)`
  if ('allDay' in window) return on(chosen)
  const [from, to] = [minuteOf(window.from), minuteOf(window.to)]
  const [after, before] = [`${wall}.minute >= ${from}`, `${wall}.minute < ${to}`]
  return from < to ? allOf([on(chosen), after, before]) : anyOf([allOf([on(chosen), after]), allOf([on(chosen.map((day) => (day + 1) % 7)), before])])
}

const severities = ['info', 'low', 'medium', 'high', 'critical']
const ordered: Record<string, string> = { eq: '==', ne: '!=', gt: '>', gte: '>=', lt: '<', lte: '<=' }
const listAttributes = ['context.tags', 'principal.roles']

function leafText({ attr, op, value }: AttributeLeaf): string {
  const at = `context.${attr}`
  const dot = at.lastIndexOf('.')
  if (op === 'exists') return `(${at.slice(0, dot)} has ${at.slice(dot + 1)})`
  if (op === 'absent') return `!${leafText({ attr, op: 'exists' })}`
  const values = [value].flat().map((one) => (attr === 'context.severity' ? severities.indexOf(one as string) : one))
  const [first, second] = values.map((one) => JSON.stringify(one))
  const set = `[${values.map((one) => JSON.stringify(one)).join(', ')}]`
  if (Object.hasOwn(ordered, op)) return `(${at} ${ordered[op]} ${first})`
  if (op === 'between') return `(${at} >= ${first} && ${at} <= ${second})`
  if (op === 'in' || op === 'nin') return `${op === 'in' ? '' : '!'}(${set}.contains(${at}))`
  if (op === 'contains' && listAttributes.includes(attr)) return `${at}.contains(${first})`
  if (op === 'containsAny' || op === 'containsAll') return `${at}.${op}(${set})`
  if (op === 'subsetOf') return `${set}.containsAll(${at})`
  const like: Record<string, string> = { prefix: `${value}*`, suffix: `*${value}`, contains: `*${value}*` }
  if (!Object.hasOwn(like, op)) throw new Error(`Cedar is not asked \`${op}\``)
  return `(${at} like "${like[op]}")`
}

/** What the policies above read of a request. */
export function cedarContext(input: PolicyInput, zones: readonly string[], wallClock: WallClock): CedarContext {
  const segments = input.resource.replace(':', '/').split('/')
  const severity = severities.indexOf(input.context['severity'] as string)
  const walls = zones.map((zone) => [zone, wallClock(zone, input.now)!] as [string, Wall])
  return {
    action: input.action,
    type: input.type,
    now: input.now,
    resource: { length: segments.length, ...Object.fromEntries(segments.map((segment, at) => [`s${at}`, segment])) },
    wall: Object.fromEntries(walls.map(([zone, { weekday, minuteOfDay }]) => [zone, { weekday, minute: minuteOfDay }])),
    context: { ...input.context, severity },
    request: input.request,
    principal: { roles: input.principal.roles },
  }
}
