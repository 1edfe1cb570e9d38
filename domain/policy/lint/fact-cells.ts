import { roles } from '../../remediation.ts'
import type { AttributeLeaf, Scalar } from '../document.ts'
import { requestTypes } from '../input.ts'
import { scaleOf } from '../scales.ts'
import { freshEffort, type Effort } from './effort.ts'
import { beginsWith, endsWith, exactly, globPattern, includes, textCells, type TextPattern } from './text-cells.ts'

const mostListItems = 7
const mostConstantsBesidePatterns = 40

/** Samples of every cell of one fact, and the leaves that these do not tell apart: lint treats each of those by itself. */
export type FactCells = { samples: unknown[]; opaque: ReadonlySet<AttributeLeaf> }

const valuesOf = ({ value }: AttributeLeaf): Scalar[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])
const isListLeaf = ({ op }: AttributeLeaf): boolean => op === 'contains' || op === 'containsAny' || op === 'containsAll' || op === 'subsetOf'

/** Facts whose values are few, whoever asks: a request with any other is refused before policies see it. */
const closed: Readonly<Record<string, readonly unknown[]>> = {
  type: requestTypes,
  'principal.kind': ['service', 'person', 'key'],
  'principal.roles': subsets(roles),
}

/** For one fact: a value of each kind that its leaves could tell apart. What is missing or of an odd type is one, too. */
export function factCells(attr: string, leaves: readonly AttributeLeaf[], effort: Effort = freshEffort()): FactCells {
  if (Object.hasOwn(closed, attr)) return { samples: [...closed[attr]!], opaque: new Set() }
  // Whoever asks always has an id and an owner.
  const named = attr === 'principal.id' || attr === 'principal.owner'
  const texts = textSamples(attr, leaves, !named, effort)
  const lists = listSamples(leaves)
  const opaque = new Set([...texts.opaque, ...lists.opaque])
  const samples = [...numberSamples(leaves), ...texts.samples, ...lists.samples, true, false, undefined, { odd: true }]
  return { samples: named ? texts.samples : samples, opaque }
}

/** Each constant, and a number on either side of it. Whole numbers that are not negative first: they look like facts. */
function numberSamples(leaves: readonly AttributeLeaf[]): number[] {
  const constants = [...new Set(leaves.flatMap(valuesOf).filter((value) => typeof value === 'number'))].sort((a, b) => a - b)
  if (constants.length === 0) return [1]
  const between = constants.map((low, at) => (at + 1 < constants.length ? middle(low, constants[at + 1]!) : Math.min(Number.MAX_VALUE, low + Math.max(1, Math.abs(low)))))
  const lowest = constants[0]!
  const all = [...new Set([...constants, ...between, Math.max(-Number.MAX_VALUE, lowest - Math.max(1, Math.abs(lowest)))])]
  const odd = (value: number) => (Number.isInteger(value) ? 0 : 1) + (value < 0 ? 2 : 0)
  return all.sort((a, b) => odd(a) - odd(b) || a - b)
}

/** A whole number where there is one. */
function middle(low: number, high: number): number {
  const whole = Math.floor(low) + 1
  return whole < high ? whole : low / 2 + high / 2
}

type Part<T> = { samples: T[]; opaque: AttributeLeaf[] }

const patternOf = ({ op, value }: AttributeLeaf): TextPattern | undefined => {
  if (typeof value !== 'string') return undefined
  if (op === 'prefix') return beginsWith(value)
  if (op === 'suffix') return endsWith(value)
  if (op === 'contains') return includes(value)
  return op === 'glob' ? globPattern(value) : undefined
}

const isPatternLeaf = ({ op }: AttributeLeaf): boolean => op === 'prefix' || op === 'suffix' || op === 'contains' || op === 'glob'

function textSamples(attr: string, leaves: readonly AttributeLeaf[], mayBeEmpty: boolean, effort: Effort): Part<string> {
  const compared = leaves.filter((leaf) => !isPatternLeaf(leaf) && !isListLeaf(leaf) && leaf.op !== 'cidr')
  const constants = [...new Set([...(scaleOf(attr) ?? []), ...compared.flatMap(valuesOf).filter((value) => typeof value === 'string')])]
  const networks = leaves.filter(({ op }) => op === 'cidr')
  const matching = leaves.filter(isPatternLeaf)
  if (matching.length === 0) return { samples: [...constants, freshText(constants)], opaque: networks }
  const patterns = matching.map(patternOf).filter((pattern) => pattern !== undefined)
  const few = constants.length <= mostConstantsBesidePatterns && patterns.length >= matching.filter(({ value }) => typeof value === 'string').length
  const texts = few ? textCells([...constants.map(exactly), ...patterns], mayBeEmpty, effort) : undefined
  if (texts) return { samples: [...new Set([...constants, ...texts])], opaque: networks }
  return { samples: [...constants, freshText(constants)], opaque: [...networks, ...matching] }
}

const freshText = (known: readonly string[]): string => {
  let text = 'other'
  while (known.includes(text)) text += '-x'
  return text
}

/** A list with any of the items that leaves name, and with or without one that none does. */
function listSamples(leaves: readonly AttributeLeaf[]): Part<Scalar[]> {
  const asking = leaves.filter(isListLeaf)
  const items = [...new Set(asking.flatMap(valuesOf))]
  if (items.length > mostListItems) return { samples: [[]], opaque: asking }
  const fresh = freshText(items.map(String))
  return { samples: subsets(asking.length === 0 ? [] : [...items, fresh]), opaque: [] }
}

function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((found, item) => [...found, ...found.map((one) => [...one, item])], [[]])
}
