import { civilFromDays, dayMs, minuteMs, parseLocal, parseTimeOfDay } from './calendar.ts'
import { days, type AttributeLeaf, type Condition, type Operator, type PolicyDocument, type Scalar, type TimeLeaf, type Window } from './document.ts'
import { parseAttribute } from './path.ts'
import { scaleOf } from './scales.ts'
import { instantOf, type WallClock } from './time.ts'

/**
 * `when and not unless` as one CEL expression, for readers who know CEL from Kubernetes. Where a fact is
 * missing the policy is unknown and the expression an error, which `&&` and `||` settle alike. It says
 * what the policy says of facts that have the type they are asked for; of another type the policy is
 * always unknown, while CEL calls values of two types unequal. `cidr` needs the library of Kubernetes.
 */
export function asCel({ when, unless }: Pick<PolicyDocument, 'when' | 'unless'>, wallClock: WallClock): string {
  const holds = conditionText(when, wallClock)
  if ('any' in unless && unless.any.length === 0) return holds
  const excepted = `!${bracketed(conditionText(unless, wallClock))}`
  return holds === 'true' ? excepted : `${holds} && ${excepted}`
}

function conditionText(condition: Condition, wallClock: WallClock): string {
  if ('all' in condition) return joined(condition.all, '&&', wallClock) ?? 'true'
  if ('any' in condition) return joined(condition.any, '||', wallClock) ?? 'false'
  if ('not' in condition) return `!${bracketed(conditionText(condition.not, wallClock))}`
  if ('time' in condition) return timeText(condition, wallClock)
  return 'cel' in condition ? `(${condition.cel})` : leafText(condition)
}

function joined(parts: readonly Condition[], by: '&&' | '||', wallClock: WallClock): string | undefined {
  const [first, ...rest] = parts.map((part) => conditionText(part, wallClock))
  return first === undefined || rest.length === 0 ? first : `(${[first, ...rest].join(` ${by} `)})`
}

/** One pair of brackets around the whole, and no second one. */
const bracketed = (text: string): string => (/^\([^()]*\)$/.test(text) ? text : `(${text})`)

const textLiteral = (text: string): string => JSON.stringify(text)

/** Whole numbers as int, as long as a double holds them exactly; others as double. */
function literal(value: Scalar): string {
  if (typeof value === 'string') return textLiteral(value)
  const text = String(value)
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && !text.includes('e') ? `${text}.0` : text
}

const listText = (values: readonly Scalar[]): string => `[${values.map(literal).join(', ')}]`

const fieldName = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Words that name no field in CEL, so that a member of that name is written as a key. */
const keywords = ['false', 'in', 'null', 'true']
const isField = (key: string): boolean => fieldName.test(key) && !keywords.includes(key)

const member = (of: string, key: string): string => (isField(key) ? `${of}.${key}` : `${of}[${textLiteral(key)}]`)
const isMember = (of: string, key: string): string => (isField(key) ? `has(${of}.${key})` : `${textLiteral(key)} in ${of}`)

/** Every step on the way must be there: `has(a.b.c)` alone is an error without `a.b`. */
function existsText([root = '', ...keys]: readonly string[]): string {
  const steps: string[] = []
  keys.reduce((of, key) => {
    steps.push(isMember(of, key))
    return member(of, key)
  }, root)
  return steps.length === 0 ? 'true' : steps.length === 1 ? steps[0]! : `(${steps.join(' && ')})`
}

function leafText({ attr, op, value }: AttributeLeaf): string {
  const keys = parseAttribute(attr)!
  if (op === 'exists') return existsText(keys)
  if (op === 'absent') return `!${bracketed(existsText(keys))}`
  const fact = keys.slice(1).reduce(member, keys[0]!)
  const scale = scaleOf(attr)
  const values = [value].flat() as Scalar[]
  if (!scale) return spoken[op](fact, values)
  // Its place on the scale; a word off it is no key of the map, hence an error.
  const place = (word: Scalar): number => scale.indexOf(word as string)
  const places = `{${scale.map((word) => `${textLiteral(word)}: ${place(word)}`).join(', ')}}`
  if (!ofTheWord.has(op)) return spoken[op](`${places}[${fact}]`, values.map(place))
  return `(${places}[${fact}] >= 0 ? ${spoken[op](fact, values)} : false)`
}

/** Asked of the word itself, not of its place on a scale; yet only of a word that has one. */
const ofTheWord: ReadonlySet<Operator> = new Set(['prefix', 'suffix', 'glob', 'cidr', 'contains', 'containsAny', 'containsAll', 'subsetOf'])

type Spoken = (fact: string, values: readonly Scalar[]) => string

const comparison = (sign: string): Spoken => (fact, [value]) => `${fact} ${sign} ${literal(value!)}`
const ofText = (say: (fact: string, value: string) => string): Spoken => (fact, values) => say(fact, String(values[0]))
const ofList = (say: (fact: string, list: string) => string): Spoken => (fact, values) => say(fact, listText(values))

const contains: Spoken = (fact, [value]) => {
  const inList = `${literal(value!)} in ${fact}`
  return typeof value === 'string' ? `(type(${fact}) == list ? ${inList} : ${fact}.contains(${literal(value)}))` : inList
}

const spoken: Record<Exclude<Operator, 'exists' | 'absent'>, Spoken> = {
  eq: comparison('=='), ne: comparison('!='), gt: comparison('>'), gte: comparison('>='), lt: comparison('<'), lte: comparison('<='),
  in: (fact, values) => `${fact} in ${listText(values)}`,
  nin: (fact, values) => `!(${fact} in ${listText(values)})`,
  between: (fact, [low, high]) => `(${fact} >= ${literal(low!)} && ${fact} <= ${literal(high!)})`,
  prefix: ofText((fact, value) => `${fact}.startsWith(${textLiteral(value)})`),
  suffix: ofText((fact, value) => `${fact}.endsWith(${textLiteral(value)})`),
  glob: ofText((fact, value) => `${fact}.matches(${textLiteral(globPattern(value))})`),
  cidr: ofText((fact, value) => `cidr(${textLiteral(value)}).containsIP(${fact})`),
  contains,
  containsAny: ofList((fact, list) => `${fact}.exists(item, item in ${list})`),
  containsAll: ofList((fact, list) => `${list}.all(item, item in ${fact})`),
  subsetOf: ofList((fact, list) => `${fact}.all(item, item in ${list})`),
}

/** The glob as an RE2 pattern over the whole text. Leading `**`s end with a slash, others begin with one. */
function globPattern(glob: string): string {
  const segments = glob.split('/')
  const first = segments.findIndex((segment) => segment !== '**')
  if (first < 0) return '^(?s:.*)$'
  const rest = segments.slice(first).map((segment, at) => (segment === '**' ? '(/[^/]*)*' : `${at === 0 ? '' : '/'}${segmentPattern(segment)}`))
  return `^${first > 0 ? '([^/]*/)*' : ''}${rest.join('')}$`
}

const segmentPattern = (segment: string): string => segment.split('*').map((piece) => piece.replace(/[\\.+?()|[\]{}^$]/g, '\\$&')).join('[^/]*')

function timeText({ time }: TimeLeaf, wallClock: WallClock): string {
  const zone = textLiteral(time.zone)
  if ('windows' in time) {
    const windows = time.windows.map((window) => windowText(window, zone))
    return windows.length === 1 ? windows[0]! : `(${windows.join(' || ')})`
  }
  const [from, to] = ([['from', 'earlier'], ['to', 'later']] as const).map(([key, pick]) =>
    `timestamp(${textLiteral(instantText(instantOf(time.zone, parseLocal(time[key])!, pick, wallClock)))})`)
  return `(now >= ${from} && now < ${to})`
}

const padded = (n: number, width = 2): string => String(n).padStart(width, '0')

/** To the minute, as time conditions are. */
function instantText(epochMs: number): string {
  const day = Math.floor(epochMs / dayMs)
  const minute = Math.floor((epochMs - day * dayMs) / minuteMs)
  const { year, month, day: dayOfMonth } = civilFromDays(day)
  return `${padded(year, 4)}-${padded(month)}-${padded(dayOfMonth)}T${padded(Math.floor(minute / 60))}:${padded(minute % 60)}:00Z`
}

/** CEL counts days from Sunday, 0. A window past midnight belongs to the day it starts on. */
function windowText(window: Window, zone: string): string {
  const places = window.days.map((day) => (days.indexOf(day) + 1) % 7)
  const on = (shift: number): string[] => {
    const chosen = places.map((place) => (place + shift) % 7).sort((a, b) => a - b)
    return places.length === 7 ? [] : [`now.getDayOfWeek(${zone}) in [${chosen.join(', ')}]`]
  }
  const both = (parts: readonly string[]): string => (parts.length > 1 ? `(${parts.join(' && ')})` : (parts[0] ?? 'true'))
  if ('allDay' in window) return both(on(0))
  const [from, to] = [parseTimeOfDay(window.from)!, parseTimeOfDay(window.to)!]
  const wholeHours = from % 60 === 0 && to % 60 === 0
  const clock = wholeHours ? `now.getHours(${zone})` : `now.getHours(${zone}) * 60 + now.getMinutes(${zone})`
  const [after, before] = [from, to].map((minute) => (wholeHours ? minute / 60 : minute)).map((mark, at) => `${clock} ${at === 0 ? '>=' : '<'} ${mark}`)
  return from < to ? both([...on(0), after!, before!]) : `(${both([...on(0), after!])} || ${both([...on(1), before!])})`
}
