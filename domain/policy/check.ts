import { bounds } from './bounds.ts'

export type Path = readonly (string | number)[]

/** What is wrong with a document, and where. `path` can be looked up in the source for a line number. */
export type Problem = { path: Path; message: string }

/** `when.all[0].attr`; the document itself is `document`. */
export const pathText = (path: Path): string =>
  path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    return text === '' ? step : `${text}.${step}`
  }, '') || 'document'

/** The way back from `pathText`, for places in a policy: its keys hold neither dots nor brackets. */
export const pathOfText = (text: string): Path =>
  text === 'document' ? [] : [...text.matchAll(/([^.[\]]+)|\[(\d+)\]/g)].map(([, key, place]) => key ?? Number(place))

/** Collects problems up to a bound, so that one bad file gives one readable list. */
export type Report = (path: Path, message: string) => void

export function problemList(): { problems: Problem[]; report: Report } {
  const problems: Problem[] = []
  const report: Report = (path, message) => {
    if (problems.length < bounds.problems) problems.push({ path, message })
  }
  return { problems, report }
}

export type Fields = Record<string, unknown>

export const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Keys that reach an object's prototype instead of naming a member. */
export const prototypeKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const typeName = (value: unknown): string => {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a mapping' : `a ${typeof value}`
}

/** A mapping with no other keys than those named, or undefined after reporting. */
export function fieldsOf(value: unknown, path: Path, known: readonly string[], report: Report): Fields | undefined {
  if (!isRecord(value)) return void report(path, `expected a mapping, found ${typeName(value)}`)
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) report([...path, key], `unknown field \`${key}\`; known here: ${known.join(', ')}`)
  }
  return value
}

export function textOf(value: unknown, path: Path, report: Report, most: number = bounds.textLength): string | undefined {
  if (typeof value !== 'string') return void report(path, `expected text, found ${typeName(value)}`)
  if (value === '') return void report(path, 'must not be empty')
  if (value.length > most) return void report(path, `longer than ${most} characters`)
  if (!value.isWellFormed()) return void report(path, 'holds half of a surrogate pair')
  // PostgreSQL keeps no NUL, and terminals obey the others.
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(value)) return void report(path, 'holds a control character')
  return value
}

export function oneOf<T extends string>(
  value: unknown,
  path: Path,
  allowed: readonly T[],
  report: Report,
): T | undefined {
  const found = allowed.find((word) => word === value)
  if (found === undefined) report(path, `expected one of ${allowed.join(', ')}, found ${shown(value)}`)
  return found
}

export function listOf<T>(
  value: unknown,
  path: Path,
  report: Report,
  item: (value: unknown, path: Path) => T | undefined,
  most: number = bounds.listItems,
): T[] | undefined {
  if (!Array.isArray(value)) return void report(path, `expected a list, found ${typeName(value)}`)
  if (value.length > most) return void report(path, `more than ${most} entries`)
  return value.map((entry, at) => item(entry, [...path, at])).filter((entry) => entry !== undefined)
}

/** As `listOf`, but an empty list is a mistake: empty must never be read as everything. */
export function filledListOf<T>(
  value: unknown,
  path: Path,
  report: Report,
  item: (value: unknown, path: Path) => T | undefined,
  most: number = bounds.listItems,
): T[] | undefined {
  if (Array.isArray(value) && value.length === 0) return void report(path, 'must name at least one')
  return listOf(value, path, report, item, most)
}

export function integerOf(
  value: unknown,
  path: Path,
  { from, to }: { from: number; to: number },
  report: Report,
): number | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to) return value
  return void report(path, `expected a whole number from ${from} to ${to}, found ${shown(value)}`)
}

export function yesOrNo(value: unknown, path: Path, report: Report): boolean | undefined {
  if (typeof value === 'boolean') return value
  return void report(path, `expected true or false, found ${shown(value)}`)
}

/** The reader's own words back, in backticks and short. */
export const shown = (value: unknown): string => {
  if (typeof value === 'string') return `\`${value.slice(0, 60)}\``
  return typeof value === 'number' || typeof value === 'boolean' ? `\`${value}\`` : typeName(value)
}
