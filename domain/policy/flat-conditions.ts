/** The `conditions` of the flat shape (`flat.ts`) as conditions of the standard one. */
import { roles } from '../remediation.ts'
import { fieldsOf, isRecord, oneOf, shown, yesOrNo, type Fields, type Path, type Report } from './check.ts'
import { days, operators } from './document.ts'
import { parseAttribute } from './path.ts'

/** A condition, checked only as far as the parser of the standard shape cannot, and where it was written. */
export type Placed = { condition: object; path: Path }

function refused(path: Path, message: string, report: Report): Placed[] {
  report(path, message)
  return []
}

/** All of them must hold. */
export function flatConditions(value: unknown, path: Path, report: Report): Placed[] {
  return entriesOf(value, path, report).flatMap(({ key, wanted, at }) => {
    if (key === 'role' || key === 'roles') return rolesOf(wanted, at, report)
    if (key === 'time') return timeOf(wanted, at, report)
    if (key !== 'metadata') return factOf(key, wanted, at, report)
    return entriesOf(wanted, at, report).flatMap((fact) => factOf(fact.key, fact.wanted, fact.at, report))
  })
}

function entriesOf(value: unknown, path: Path, report: Report): { key: string; wanted: unknown; at: Path }[] {
  if (!isRecord(value)) report(path, `expected a mapping, found ${shown(value)}`)
  return isRecord(value) ? Object.entries(value).map(([key, wanted]) => ({ key, wanted, at: [...path, key] })) : []
}

/** One value or a list of them, or undefined when one is not right. */
function eachOf<T>(value: unknown, item: (value: unknown) => T | undefined): T[] | undefined {
  const read = (Array.isArray(value) ? value : [value]).map(item)
  return read.every((one) => one !== undefined) ? read : undefined
}

function rolesOf(value: unknown, path: Path, report: Report): Placed[] {
  const wanted = eachOf(value, (role) => oneOf(role, path, roles, report))
  return wanted ? [{ condition: { attr: 'principal.roles', op: 'containsAny', value: wanted }, path }] : []
}

/** Facts by the names that other shapes give them. */
const elsewhere: Readonly<Record<string, string>> = {
  replicas: 'request.replicas', deltaReplicas: 'request.deltaReplicas', percentOfReady: 'request.percentOfReady',
  revision: 'request.revision', undo: 'request.undo', user: 'principal.id', userId: 'principal.id', user_id: 'principal.id',
}

/** A value is compared for equality, a list means one of it, a mapping holds operators. */
function factOf(key: string, wanted: unknown, path: Path, report: Report): Placed[] {
  if (Object.hasOwn(elsewhere, key)) return refused(path, `\`${key}\` is no part of the context; write \`${elsewhere[key]}\``, report)
  const attr = [key, `context.${key}`, `context["${key}"]`].find((text) => parseAttribute(text) !== undefined)
  if (attr === undefined) return refused(path, `${shown(key)} names no fact`, report)
  if (!isRecord(wanted)) return [{ condition: { attr, op: Array.isArray(wanted) ? 'in' : 'eq', value: wanted }, path }]
  if (Object.keys(wanted).length === 0) report(path, 'is empty; write a value to compare with, or operators such as `{ gte: high }`')
  return Object.entries(wanted).flatMap(([op, value]) => leafOf(attr, op, value, [...path, op], report))
}

function leafOf(attr: string, word: string, value: unknown, path: Path, report: Report): Placed[] {
  const op = oneOf(word, path, operators, report)
  if (op === undefined) return []
  if (op !== 'exists' && op !== 'absent') return [{ condition: { attr, op, value }, path }]
  const wanted = yesOrNo(value, path, report)
  return [{ condition: { attr, op: (op === 'exists') === wanted ? 'exists' : 'absent' }, path }]
}

const span = /^(\d{1,2}:\d\d)\s*-\s*(\d{1,2}:\d\d)$/
const timeFields = ['start', 'from', 'end', 'to', 'days', 'zone', 'timezone'] as const

/** `09:00-18:00`, or a mapping. Without days every day, without a zone UTC. */
function timeOf(value: unknown, path: Path, report: Report): Placed[] {
  const [, start, end] = typeof value === 'string' ? (span.exec(value) ?? []) : []
  if (typeof value === 'string' && start === undefined) return refused(path, `${shown(value)} is no time such as \`09:00-18:00\``, report)
  const fields = start === undefined ? fieldsOf(value, path, timeFields, report) : { start, end }
  if (!fields) return []
  const [from, to] = [clockOf(fields, ['start', 'from'], path, report), clockOf(fields, ['end', 'to'], path, report)]
  if (from === undefined || to === undefined) return []
  if (from === to) return refused(path, 'ends when it starts; leave `time` out for always', report)
  const chosen = Object.hasOwn(fields, 'days') ? eachOf(fields['days'], (day) => dayOf(day, [...path, 'days'], report)) : [...days]
  const { zone = 'UTC' } = { zone: eitherOf(fields, ['zone', 'timezone'], path, report) }
  return chosen ? [{ condition: { time: { zone, windows: [{ days: chosen, from, to }] } }, path }] : []
}

function eitherOf(fields: Fields, [name, other]: [string, string], path: Path, report: Report): unknown {
  if (Object.hasOwn(fields, name) && Object.hasOwn(fields, other)) report([...path, other], `says the same as \`${name}\`; keep one of them`)
  return Object.hasOwn(fields, name) ? fields[name] : fields[other]
}

function clockOf(fields: Fields, names: [string, string], path: Path, report: Report): string | undefined {
  const given = eitherOf(fields, names, path, report)
  if (typeof given !== 'string') return void report(path, `needs \`${names[0]}\` as text such as \`09:00\`, found ${shown(given)}`)
  return given.padStart(5, '0')
}

const fullDays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']

/** `Mon` and `Monday` too. */
function dayOf(value: unknown, path: Path, report: Report): string | undefined {
  const word = typeof value === 'string' ? value.toLowerCase() : value
  return oneOf(fullDays.some((day) => day === word) ? String(word).slice(0, 3) : word, path, days, report)
}
