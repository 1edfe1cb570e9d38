import { bounds } from './bounds.ts'
import { asUtc, parseLocal, parseTimeOfDay } from './calendar.ts'
import { fieldsOf, filledListOf, isRecord, listOf, oneOf, shown, textOf, yesOrNo, type Path, type Report } from './check.ts'
import { parseCidr } from './cidr.ts'
import { days, operators, type Condition, type Day, type Operator, type Scalar, type TimeLeaf, type Window } from './document.ts'
import type { ExpressionCompiler } from './expression.ts'
import { misplacedDoubleStar } from './glob.ts'
import { valueShape, type ValueShape } from './operators.ts'
import { parseAttribute } from './path.ts'
import { scaleOf } from './scales.ts'

/** What one document has used of its bounds, and how to tell a time zone or an expression from a typing mistake. */
export type Budget = { nodes: number; globs: number; expressions: number; zoneExists: (zone: string) => boolean; compileCel: ExpressionCompiler | undefined; report: Report }

const forms = ['all', 'any', 'not', 'attr', 'time', 'cel'] as const

export function parseCondition(value: unknown, path: Path, depth: number, budget: Budget): Condition | undefined {
  const { report } = budget
  if (++budget.nodes === bounds.conditionNodes + 1) report(path, `more than ${bounds.conditionNodes} conditions in one policy`)
  if (budget.nodes > bounds.conditionNodes) return undefined
  if (depth > bounds.conditionDepth) return void report(path, `nested deeper than ${bounds.conditionDepth}`)
  if (!isRecord(value)) return void report(path, `expected a condition, found ${shown(value)}`)
  const form = forms.find((name) => Object.hasOwn(value, name))
  if (form === undefined) return void report(path, `expected one of ${forms.join(', ')}`)
  if (form === 'attr') return attributeLeaf(value, path, budget)
  fieldsOf(value, path, [form], report)
  if (form === 'time') return timeLeaf(value['time'], [...path, 'time'], budget)
  if (form === 'cel') return expressionLeaf(value['cel'], [...path, 'cel'], budget)
  if (form === 'not') {
    const inner = parseCondition(value['not'], [...path, 'not'], depth + 1, budget)
    return inner && { not: inner }
  }
  const parts = listOf(value[form], [...path, form], report, (part, at) => parseCondition(part, at, depth + 1, budget))
  return parts && (form === 'all' ? { all: parts } : { any: parts })
}

function expressionLeaf(value: unknown, path: Path, budget: Budget): Condition | undefined {
  const { compileCel, report } = budget
  if (++budget.expressions > bounds.expressions) return void report(path, `more than ${bounds.expressions} expressions in one policy`)
  if (!compileCel) return void report(path, 'CEL is not read here; write it with attr, op and value')
  const cel = textOf(value, path, report, bounds.expressionLength)
  if (cel === undefined) return undefined
  const { problem } = compileCel(cel)
  return problem === undefined ? { cel } : void report(path, `the expression ${problem}`)
}

function attributeLeaf(value: Record<string, unknown>, path: Path, budget: Budget): Condition | undefined {
  const { report } = budget
  fieldsOf(value, path, ['attr', 'op', 'value'], report)
  const attr = textOf(value['attr'], [...path, 'attr'], report)
  if (attr !== undefined && !parseAttribute(attr)) {
    report([...path, 'attr'], `${shown(attr)} names no fact; start with principal., context., request., target. or history.`)
  }
  const op = oneOf(value['op'], [...path, 'op'], operators, report)
  if (attr === undefined || op === undefined) return undefined
  return leafValue(value, attr, op, path, budget)
}

function leafValue(fields: Record<string, unknown>, attr: string, op: Operator, path: Path, budget: Budget): Condition | undefined {
  const at = [...path, 'value']
  const shape = valueShape[op]
  if (shape === 'none') {
    if (Object.hasOwn(fields, 'value')) budget.report(at, `\`${op}\` takes no value`)
    return { attr, op }
  }
  if (!Object.hasOwn(fields, 'value')) return void budget.report(path, `\`${op}\` needs a value`)
  const found = shapes[shape](fields['value'], at, attr, budget)
  return found === undefined ? undefined : { attr, op, value: found }
}

type ShapeCheck = (value: unknown, path: Path, attr: string, budget: Budget) => Scalar | Scalar[] | undefined

const shapes: Record<Exclude<ValueShape, 'none'>, ShapeCheck> = {
  scalar: (value, path, attr, { report }) => scalar(value, path, attr, report),
  scalars: (value, path, attr, { report }) => sameType(filledListOf(value, path, report, (item, at) => scalar(item, at, attr, report)), path, report),
  ordered: (value, path, attr, { report }) => ordered(value, path, attr, report),
  pair: (value, path, attr, { report }) => pair(value, path, attr, report),
  text: (value, path, _attr, { report }) => textOf(value, path, report),
  glob: (value, path, _attr, budget) => textGlob(value, path, budget),
  cidr: (value, path, _attr, { report }) => {
    const text = textOf(value, path, report)
    if (text === undefined || parseCidr(text)) return text
    return void report(path, `${shown(text)} is no network such as \`10.0.0.0/8\``)
  },
}

function scalar(value: unknown, path: Path, attr: string, report: Report): Scalar | undefined {
  if (scaleOf(attr)) return onScale(value, path, attr, report)
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value
  if (typeof value === 'string') return textOf(value, path, report)
  return void report(path, `expected text, a number, true or false, found ${shown(value)}`)
}

function onScale(value: unknown, path: Path, attr: string, report: Report): string | undefined {
  return oneOf(value, path, scaleOf(attr)!, report)
}

function sameType(values: Scalar[] | undefined, path: Path, report: Report): Scalar[] | undefined {
  if (!values || values.every((value) => typeof value === typeof values[0])) return values
  return void report(path, 'mixes types; one list compares text, or numbers, or true and false')
}

function ordered(value: unknown, path: Path, attr: string, report: Report): Scalar | undefined {
  if (scaleOf(attr)) return onScale(value, path, attr, report)
  if (typeof value === 'number' && Number.isFinite(value)) return value
  return void report(path, `expected a number, found ${shown(value)}; only context.severity compares words`)
}

function pair(value: unknown, path: Path, attr: string, report: Report): Scalar[] | undefined {
  const ends = listOf(value, path, report, (item, at) => ordered(item, at, attr, report))
  if (!ends) return undefined
  const [low, high] = ends
  if (ends.length !== 2 || low === undefined || high === undefined) return void report(path, 'expected [lowest, highest]')
  const scale = scaleOf(attr)
  const upsideDown = scale ? scale.indexOf(String(low)) > scale.indexOf(String(high)) : low > high
  return upsideDown ? void report(path, 'the lowest comes first') : ends
}

function textGlob(value: unknown, path: Path, budget: Budget): string | undefined {
  const text = textOf(value, path, budget.report)
  if (text === undefined) return undefined
  countGlob(path, budget)
  return misplacedDoubleStar(text.split('/')) ? void budget.report(path, '`**` may only be a whole segment') : text
}

export function countGlob(path: Path, budget: Budget): void {
  if (++budget.globs === bounds.globs + 1) budget.report(path, `more than ${bounds.globs} globs in one policy`)
}

function timeLeaf(value: unknown, path: Path, budget: Budget): TimeLeaf | undefined {
  const { report } = budget
  const fields = fieldsOf(value, path, ['zone', 'windows', 'from', 'to'], report)
  if (!fields) return undefined
  const zone = textOf(fields['zone'], [...path, 'zone'], report)
  if (zone !== undefined && !budget.zoneExists(zone)) report([...path, 'zone'], `unknown time zone ${shown(zone)}; use a name such as \`Europe/Berlin\``)
  if (Object.hasOwn(fields, 'windows')) {
    if (Object.hasOwn(fields, 'from') || Object.hasOwn(fields, 'to')) report(path, 'has both `windows` and a fixed span; choose one')
    const windows = filledListOf(fields['windows'], [...path, 'windows'], report, (item, at) => oneWindow(item, at, report), bounds.windows)
    return zone !== undefined && windows ? { time: { zone, windows } } : undefined
  }
  return fixedSpan(fields, zone, path, report)
}

function fixedSpan(fields: Record<string, unknown>, zone: string | undefined, path: Path, report: Report): TimeLeaf | undefined {
  const [from, to] = (['from', 'to'] as const).map((key) => {
    const text = textOf(fields[key], [...path, key], report)
    if (text === undefined || parseLocal(text)) return text
    return void report([...path, key], `${shown(text)} is no local time such as \`2026-12-24T18:00\``)
  })
  if (zone === undefined || from === undefined || to === undefined) return undefined
  if (asUtc(parseLocal(from)!) >= asUtc(parseLocal(to)!)) return void report(path, '`from` must be before `to`')
  return { time: { zone, from, to } }
}

function oneWindow(value: unknown, path: Path, report: Report): Window | undefined {
  const fields = fieldsOf(value, path, ['days', 'from', 'to', 'allDay'], report)
  if (!fields) return undefined
  const chosen = Object.hasOwn(fields, 'days')
    ? filledListOf(fields['days'], [...path, 'days'], report, (day, at) => oneOf(day, at, days, report))
    : [...days]
  if (!chosen) return undefined
  const inOrder: Day[] = days.filter((day) => chosen.includes(day))
  if (!Object.hasOwn(fields, 'allDay')) return hours(fields, inOrder, path, report)
  if (Object.hasOwn(fields, 'from') || Object.hasOwn(fields, 'to')) report(path, '`allDay` takes no `from` or `to`')
  if (yesOrNo(fields['allDay'], [...path, 'allDay'], report) !== true) return void report([...path, 'allDay'], 'can only be true; leave it out otherwise')
  return { days: inOrder, allDay: true }
}

function hours(fields: Record<string, unknown>, chosen: Day[], path: Path, report: Report): Window | undefined {
  const [from, to] = (['from', 'to'] as const).map((key) => {
    const text = textOf(fields[key], [...path, key], report)
    const minutes = text === undefined ? undefined : parseTimeOfDay(text)
    if (text !== undefined && (minutes === undefined || (key === 'from' && minutes === 1440))) {
      return void report([...path, key], `${shown(text)} is no time of day such as \`09:00\``)
    }
    return text
  })
  if (from === undefined || to === undefined) return undefined
  if (from === to) return void report(path, '`from` equals `to`; use `allDay: true` for a whole day')
  return { days: chosen, from, to }
}
