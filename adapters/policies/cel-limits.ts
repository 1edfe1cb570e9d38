import { isCelError, run, type parse } from '@bufbuild/cel'
import { prototypeKeys } from '../../domain/policy/check.ts'
import { textIn } from './cel-reads.ts'

type Expr = ReturnType<typeof parse>['expr']
type Kind<C extends Expr['exprKind']['case']> = Extract<Expr['exprKind'], { case: C }>

/** What of an expression decides its cost. */
export type ExpressionSize = { nodes: number; loops: number; readsNow: boolean }

const most = { nodes: 200, matches: 4, patternLength: 128, patternRepeats: 32 } as const

const variables = ['principal', 'action', 'resource', 'type', 'context', 'request', 'target', 'history', 'now']
const types = ['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'uint']

const operators = ['_&&_', '_||_', '!_', '_?_:_', '_==_', '_!=_', '_<_', '_<=_', '_>_', '_>=_', '@in', '_+_', '_-_', '_*_', '_/_', '_%_', '-_', '_[_]', '@not_strictly_false']
const functions = [
  'size', 'startsWith', 'endsWith', 'contains', 'matches', 'type', 'dyn', 'bool', 'int', 'uint', 'double', 'string', 'timestamp', 'duration',
  'getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear', 'getHours', 'getMinutes', 'getSeconds', 'getMilliseconds',
]
const callable: ReadonlySet<string> = new Set([...operators, ...functions])

/**
 * What an expression may be made of, so that its cost is known before it is asked: few nodes, one loop
 * over a list at most, patterns that stand in the text, no function that is not on the list above.
 */
export function measure(expr: Expr): { size: ExpressionSize; problem?: undefined } | { size?: undefined; problem: string } {
  const size = { nodes: 0, loops: 0, readsNow: false }
  let matches = 0

  function visit(part: Expr | undefined, locals: readonly string[]): string | undefined {
    if (!part) return undefined
    if (++size.nodes > most.nodes) return `has more than ${most.nodes} parts; split it, or say it with attr, op and value`
    const { exprKind } = part
    if (exprKind.case === 'identExpr') return named(exprKind.value.name, locals)
    if (exprKind.case === 'selectExpr') return keyProblem(exprKind.value.field) ?? visit(exprKind.value.operand, locals)
    if (exprKind.case === 'listExpr') return firstOf(exprKind.value.elements, locals)
    if (exprKind.case === 'structExpr') return mapping(exprKind, locals)
    if (exprKind.case === 'callExpr') return call(exprKind, locals)
    return exprKind.case === 'comprehensionExpr' ? loop(exprKind, locals) : undefined
  }

  function firstOf(parts: readonly (Expr | undefined)[], locals: readonly string[]): string | undefined {
    for (const part of parts) {
      const problem = visit(part, locals)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  function named(name: string, locals: readonly string[]): string | undefined {
    if (name === 'now') size.readsNow = true
    return [...variables, ...types, ...locals].includes(name) ? undefined : `\`${name}\` is no fact; known here: ${variables.join(', ')}`
  }

  function mapping({ value: { messageName, entries } }: Kind<'structExpr'>, locals: readonly string[]): string | undefined {
    if (messageName !== '') return `builds a \`${messageName}\`; only lists and maps can be written here`
    return firstOf(entries.flatMap(({ keyKind, value }) => [keyKind.case === 'mapKey' ? keyKind.value : undefined, value]), locals)
  }

  function call({ value: { function: name, target, args } }: Kind<'callExpr'>, locals: readonly string[]): string | undefined {
    if (!callable.has(name)) return `\`${name}\` is no function here; known: ${functions.join(', ')}`
    if (name === 'matches' && ++matches > most.matches) return `has more than ${most.matches} patterns`
    const problem = name === 'matches' ? patternProblem(args[args.length - 1], locals) : undefined
    if (problem !== undefined) return problem
    if (name === '_+_' && args.some((arg) => textIn(arg) !== undefined)) return 'joins text with `+`; compare its parts instead'
    return keyProblem(name === '_[_]' ? textIn(args[1]) : undefined) ?? firstOf([target, ...args], locals)
  }

  function loop({ value }: Kind<'comprehensionExpr'>, locals: readonly string[]): string | undefined {
    if (++size.loops > 1) return 'has more than one of all, exists, exists_one, map and filter'
    const { iterVar, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = value
    return keyProblem(iterVar) ?? visit(iterRange, locals) ?? firstOf([accuInit, loopCondition, loopStep, result], [...locals, iterVar, accuVar])
  }

  const problem = visit(expr, [])
  return problem === undefined ? { size } : { problem }
}

const keyProblem = (key: string | undefined): string | undefined =>
  key !== undefined && prototypeKeys.has(key) ? `\`${key}\` names no fact` : undefined

/** RE2 is linear in the text, but its programs grow with counted repetitions, and each is compiled anew. */
function patternProblem(arg: Expr | undefined, locals: readonly string[]): string | undefined {
  const pattern = textIn(arg)
  if (pattern === undefined) return 'needs the pattern of `matches` written out as text'
  if (locals.length > 0) return 'has `matches` inside of all, exists, exists_one, map or filter'
  if (pattern.length > most.patternLength) return `has a pattern longer than ${most.patternLength} characters`
  const repeats = [...pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].reduce((product, [, from, to]) => product * Math.max(1, Number(from), Number(to || 0)), 1)
  if (repeats > most.patternRepeats) return `has a pattern that repeats more than ${most.patternRepeats} times by count`
  const tried = run('"".matches(pattern)', { pattern })
  return isCelError(tried) ? `has a pattern that is not RE2: ${tried.message}` : undefined
}
