import { minuteMs } from './calendar.ts'
import type { AttributeLeaf, Condition, TimeLeaf, Window } from './document.ts'
import type { ExpressionCompiler } from './expression.ts'
import type { PolicyInput } from './input.ts'
import { compileLeaf } from './operators.ts'
import { parseAttribute, readAttribute } from './path.ts'
import { compileTime, type TimeTest, type WallClock } from './time.ts'
import { and, not, or, type Truth } from './truth.ts'

type Common = { readonly path: string; evaluate(input: PolicyInput): Truth }

/** A condition ready to be asked, with enough of its shape kept to say which leaf failed, by its place in the document. */
export type Node = Common &
  (
    | { readonly form: 'all' | 'any'; readonly parts: readonly Node[] }
    | { readonly form: 'not'; readonly part: Node }
    | { readonly form: 'attr'; readonly attr: string; readonly wanted: string; read(input: PolicyInput): unknown }
    | { readonly form: 'time'; readonly wanted: string; readonly test: TimeTest }
    | { readonly form: 'cel'; readonly wanted: string; readonly readsNow: boolean; readonly reads: readonly (readonly string[])[] }
  )

/** What a condition is asked with besides a request. */
export type Means = { wallClock: WallClock; compileCel?: ExpressionCompiler }

/** What has been compiled for a set of policies, by place and text. */
export type KnownNodes = Map<string, Node>

/**
 * Conditions that say the same at the same place are one node: a large set says a few hundred things thousands of times,
 * and what is shared stays in the processor's cache.
 */
export function compileCondition(condition: Condition, path: string, means: Means, known: KnownNodes = new Map()): Node {
  const key = `${path} ${JSON.stringify(condition)}`
  const node = known.get(key) ?? freshNode(condition, path, means, known)
  known.set(key, node)
  return node
}

function freshNode(condition: Condition, path: string, means: Means, known: KnownNodes): Node {
  const part = (inner: Condition, step: string): Node => compileCondition(inner, `${path}.${step}`, means, known)
  if ('all' in condition) return group('all', path, condition.all.map((each, at) => part(each, `all[${at}]`)))
  if ('any' in condition) return group('any', path, condition.any.map((each, at) => part(each, `any[${at}]`)))
  if ('not' in condition) {
    const inner = part(condition.not, 'not')
    return { form: 'not', path, part: inner, evaluate: (input) => not(inner.evaluate(input)) }
  }
  if ('time' in condition) {
    const test = compileTime(condition, means.wallClock)
    return { form: 'time', path: `${path}.time`, wanted: timeText(condition), test, evaluate: ({ now }) => test.holds(now) }
  }
  if ('cel' in condition) return expression(condition.cel, path, means)
  const keys = parseAttribute(condition.attr)!
  const test = compileLeaf(condition)
  const read = (input: PolicyInput): unknown => readAttribute(input, keys)
  return { form: 'attr', path, attr: condition.attr, wanted: leafText(condition), read, evaluate: (input) => test(read(input)) }
}

/** The expression was checked when its document was read; that the same compiler is missing now is a bug. */
function expression(cel: string, path: string, { compileCel }: Means): Node {
  const test = compileCel?.(cel).test
  if (!test) throw new Error(`the CEL at ${path} was accepted by another compiler than the one at hand`)
  return { form: 'cel', path: `${path}.cel`, wanted: clipped(cel), readsNow: test.readsNow, reads: test.reads, evaluate: (input) => test.evaluate(input) }
}

/** Empty `all` is true and empty `any` is false; each stops at the part that settles it. */
function group(form: 'all' | 'any', path: string, parts: readonly Node[]): Node {
  const [start, join, settled] = form === 'all' ? [true, and, false] as const : [false, or, true] as const
  const evaluate = (input: PolicyInput): Truth => {
    let truth: Truth = start
    for (const part of parts) {
      truth = join(truth, part.evaluate(input))
      if (truth === settled) return truth
    }
    return truth
  }
  return { form, path, parts, evaluate }
}

/** Every leaf below a node that asks the clock: their edges bound how long a decision holds. */
export function timeTests(node: Node): Pick<TimeTest, 'edge'>[] {
  if (node.form === 'time') return [node.test]
  if (node.form === 'not') return timeTests(node.part)
  if (node.form === 'cel') return node.readsNow ? [everyMinute] : []
  return node.form === 'attr' ? [] : node.parts.flatMap(timeTests)
}

const everyMinute: Pick<TimeTest, 'edge'> = {
  edge: (now, limit) => {
    const next = (Math.floor(now / minuteMs) + 1) * minuteMs
    return next < limit ? next : null
  },
}

/** A leaf that kept a policy from matching, with what was there and what it wanted. */
export type FailedLeaf = { path: string; actual: string; expected: string }

/** Adds the leaves because of which `node` is not `want`, up to `most` in all. Call it only where that is so. */
export function collectFailed(node: Node, want: boolean, input: PolicyInput, most: number, found: FailedLeaf[]): void {
  if (found.length >= most) return
  if (node.form === 'attr' || node.form === 'time' || node.form === 'cel') return void found.push(describe(node, want, input))
  if (node.form === 'not') return collectFailed(node.part, !want, input, most, found)
  for (const part of node.parts) if (part.evaluate(input) !== want) collectFailed(part, want, input, most, found)
  if (node.parts.length === 0) found.push({ path: node.path, actual: `empty \`${node.form}\``, expected: want ? 'at least one condition' : 'a condition that can fail' })
}

/** A node that asks something itself. */
export type LeafNode = Extract<Node, { form: 'attr' | 'time' | 'cel' }>

function describe(node: LeafNode, want: boolean, input: PolicyInput): FailedLeaf {
  const expected = want ? node.wanted : `not ${node.wanted}`
  return { path: node.path, actual: actualText(node, input), expected }
}

function actualText(node: LeafNode, input: PolicyInput): string {
  if (node.form === 'time') return node.test.shows(input.now)
  if (node.form === 'attr') return `${node.attr} is ${valueText(node.read(input))}`
  const truth = node.evaluate(input)
  return truth === 'unknown' ? 'the expression has no answer' : `the expression is ${truth}`
}

const leafText = ({ op, value }: AttributeLeaf): string => (value === undefined ? op : clipped(`${op} ${JSON.stringify(value)}`))

const clipped = (text: string): string => (text.length <= 120 ? text : `${text.slice(0, 119)}…`)

const valueText = (value: unknown): string =>
  value === undefined || value === null ? 'missing' : clipped(JSON.stringify(value))

function timeText({ time }: TimeLeaf): string {
  if ('from' in time) return `${time.from} to ${time.to} ${time.zone}`
  return clipped(`${time.windows.map(windowText).join(', ')} ${time.zone}`)
}

const windowText = (window: Window): string => {
  const on = window.days.length === 7 ? '' : `${window.days.join(' ')} `
  return 'allDay' in window ? `${on}all day` : `${on}${window.from}-${window.to}`
}
