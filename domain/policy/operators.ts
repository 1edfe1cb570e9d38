import { inCidr, parseCidr } from './cidr.ts'
import type { AttributeLeaf, Operator, Scalar } from './document.ts'
import { compileGlob } from './glob.ts'
import { scaleOf } from './scales.ts'
import type { Truth } from './truth.ts'

/** A leaf's question about one value; `undefined` and `null` are what is missing. */
export type ValueTest = (actual: unknown) => Truth

/** What each operator compares with. */
export type ValueShape = 'none' | 'scalar' | 'scalars' | 'ordered' | 'pair' | 'text' | 'glob' | 'cidr'

export const valueShape: Record<Operator, ValueShape> = {
  eq: 'scalar', ne: 'scalar', in: 'scalars', nin: 'scalars',
  gt: 'ordered', gte: 'ordered', lt: 'ordered', lte: 'ordered', between: 'pair',
  exists: 'none', absent: 'none', prefix: 'text', suffix: 'text',
  contains: 'scalar', containsAny: 'scalars', containsAll: 'scalars', subsetOf: 'scalars',
  glob: 'glob', cidr: 'cidr',
}

const isMissing = (value: unknown): boolean => value === undefined || value === null
const isScalar = (value: unknown): value is Scalar =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))

/** The leaf was checked when its document was read, so that here only the value can be amiss: unknown. */
export function compileLeaf({ attr, op, value }: AttributeLeaf): ValueTest {
  if (op === 'exists') return (actual) => !isMissing(actual)
  if (op === 'absent') return isMissing
  const scale = scaleOf(attr)
  const test = families[op](value as never, scale, op)
  return (actual) => (isMissing(actual) || (scale && !scale.includes(actual as string)) ? 'unknown' : test(actual))
}

type Family = (value: never, scale: readonly string[] | undefined, op: Operator) => ValueTest

const equality = (value: Scalar | Scalar[], _scale: readonly string[] | undefined, op: Operator): ValueTest => {
  const wanted = Array.isArray(value) ? value : [value]
  const kind = typeof wanted[0]
  const positive = op === 'eq' || op === 'in'
  return (actual) => {
    if (typeof actual !== kind || !isScalar(actual)) return 'unknown'
    return wanted.includes(actual) === positive
  }
}

const compare: Partial<Record<Operator, (a: number, b: number) => boolean>> = {
  gt: (a, b) => a > b,
  gte: (a, b) => a >= b,
  lt: (a, b) => a < b,
  lte: (a, b) => a <= b,
}

/** A number as itself, a word as its place on the scale; undefined when it is neither. */
const rank = (value: unknown, scale: readonly string[] | undefined): number | undefined => {
  if (!scale) return typeof value === 'number' && Number.isFinite(value) ? value : undefined
  const place = typeof value === 'string' ? scale.indexOf(value) : -1
  return place < 0 ? undefined : place
}

const order = (value: Scalar, scale: readonly string[] | undefined, op: Operator): ValueTest => {
  const bound = rank(value, scale)!
  const holds = compare[op]!
  return (actual) => {
    const given = rank(actual, scale)
    return given === undefined ? 'unknown' : holds(given, bound)
  }
}

const between = ([low, high]: [Scalar, Scalar], scale: readonly string[] | undefined): ValueTest => {
  const [from, to] = [rank(low, scale)!, rank(high, scale)!]
  return (actual) => {
    const given = rank(actual, scale)
    return given === undefined ? 'unknown' : given >= from && given <= to
  }
}

const onText =
  (test: (text: string) => Truth): ValueTest =>
  (actual) => (typeof actual === 'string' ? test(actual) : 'unknown')

/** Text contains text; a list contains a member. */
const contains = (value: Scalar): ValueTest => (actual) => {
  if (typeof actual === 'string') return typeof value === 'string' ? actual.includes(value) : 'unknown'
  return Array.isArray(actual) && actual.every(isScalar) ? actual.includes(value) : 'unknown'
}

const onList =
  (test: (given: ReadonlySet<Scalar>) => boolean): ValueTest =>
  (actual) => (Array.isArray(actual) && actual.every(isScalar) ? test(new Set(actual)) : 'unknown')

const textGlob = (value: string): ValueTest => {
  const glob = compileGlob(value)
  return onText((text) => glob.matches(text.split('/')))
}

const cidr = (value: string): ValueTest => {
  const network = parseCidr(value)!
  return onText((text) => inCidr(text, network) ?? 'unknown')
}

const families: Record<Exclude<Operator, 'exists' | 'absent'>, Family> = {
  eq: equality, ne: equality, in: equality, nin: equality,
  gt: order, gte: order, lt: order, lte: order, between,
  prefix: (value: string) => onText((text) => text.startsWith(value)),
  suffix: (value: string) => onText((text) => text.endsWith(value)),
  contains,
  containsAny: (value: Scalar[]) => onList((given) => value.some((item) => given.has(item))),
  containsAll: (value: Scalar[]) => onList((given) => value.every((item) => given.has(item))),
  subsetOf: (value: Scalar[]) => onList((given) => [...given].every((item) => value.includes(item))),
  glob: textGlob,
  cidr,
}
