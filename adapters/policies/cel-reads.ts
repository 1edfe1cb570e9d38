import type { parse } from '@bufbuild/cel'

type Expr = ReturnType<typeof parse>['expr']

/**
 * Paths of the facts that an expression names, as keys, also where it only asks whether they are there: `has(context.a)`
 * and `"b" in context.a` name `context.a` and `context.a.b`. Items of a loop have no path of their own.
 */
export function factsRead(expr: Expr): string[][] {
  const found = new Map<string, string[]>()

  function visit(part: Expr | undefined, locals: readonly string[]): void {
    if (!part) return
    const path = pathOf(part, locals)
    if (path && path.length > 1) found.set(JSON.stringify(path), path)
    if (!path) for (const { inner, names } of partsOf(part)) visit(inner, [...locals, ...names])
  }

  visit(expr, [])
  return [...found.values()]
}

function pathOf(expr: Expr | undefined, locals: readonly string[]): string[] | undefined {
  const kind = expr?.exprKind
  if (kind?.case === 'identExpr') return locals.includes(kind.value.name) ? undefined : [kind.value.name]
  if (kind?.case === 'selectExpr') return below(kind.value.operand, kind.value.field, locals)
  if (kind?.case !== 'callExpr') return undefined
  const [first, second] = kind.value.args
  if (kind.value.function === '_[_]') return below(first, textIn(second), locals)
  return kind.value.function === '@in' ? below(second, textIn(first), locals) : undefined
}

function below(holder: Expr | undefined, key: string | undefined, locals: readonly string[]): string[] | undefined {
  const path = pathOf(holder, locals)
  return path && key !== undefined ? [...path, key] : undefined
}

/** The parts of an expression, and the names that each brings along. */
function partsOf({ exprKind }: Expr): { inner: Expr | undefined; names: string[] }[] {
  const plain = (parts: (Expr | undefined)[]) => parts.map((inner) => ({ inner, names: [] }))
  if (exprKind.case === 'selectExpr') return plain([exprKind.value.operand])
  if (exprKind.case === 'callExpr') return plain([exprKind.value.target, ...exprKind.value.args])
  if (exprKind.case === 'listExpr') return plain(exprKind.value.elements)
  if (exprKind.case === 'structExpr') return plain(exprKind.value.entries.flatMap(({ keyKind, value }) => [keyKind.case === 'mapKey' ? keyKind.value : undefined, value]))
  if (exprKind.case !== 'comprehensionExpr') return []
  const { iterVar, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value
  return [...plain([iterRange]), ...[accuInit, loopCondition, loopStep, result].map((inner) => ({ inner, names: [iterVar, accuVar] }))]
}

export const textIn = (expr: Expr | undefined): string | undefined => {
  if (expr?.exprKind.case !== 'constExpr') return undefined
  const { constantKind } = expr.exprKind.value
  return constantKind.case === 'stringValue' ? constantKind.value : undefined
}
